"""``evaluate``: a checkpoint on a dataset -> scores, files and a table."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.preprocessing import evaluation_transform
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import CheckpointError
from agnet_vision.evaluation.charts import confusion_matrix, save_png
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.training.build import build_table, build_trainer, require_samples
from agnet_vision.training.claim import claimed_run_dir
from agnet_vision.training.config import EvaluateConfig
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.progress import progress_callbacks
from agnet_vision.training.run import Run
from agnet_vision.training.tell import tell_scores, tell_where

REMARKS = (
    ".*Checkpoint directory .* exists and is not empty.*",  # it holds the options of the run
    ".*does not have many workers.*",  # the user's choice
    ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
    ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about torch's next release
    ".*is smaller than the logging interval.*",  # what matters is logged every epoch
    ".*Skipping val loop.*",  # no validation split, on purpose
)


def evaluate(config: EvaluateConfig) -> Run:
    """Evaluate a checkpoint and write ``metrics.json``, ``predictions.csv`` and the plots.

    Args:
        config: all options; its dataset must be set.

    Raises:
        AGNetError: an option, the dataset, or the checkpoint is not right.
    """
    assert config.dataset is not None
    started = time.time()
    with quiet_lightning(), claimed_run_dir(config) as run_dir:
        model = load_model(config.checkpoint)
        place = Path(config.checkpoint)
        checkpoint = place.absolute() if place.exists() else config.checkpoint
        table = build_table(config.dataset, config.seed or 0)
        check_classes(model, table, config.checkpoint)
        require_samples(table, config.split)
        run_dir.mkdir(parents=True, exist_ok=True)
        # The split to be scored takes the place of the test split; no other is touched.
        table.splits = {"train": [], "val": [], "test": table.splits[config.split]}

        module, data = AGNetModule(model), _data(config, table, model)
        callbacks: list[Callback] = []
        if config.trainer.progress_bar:
            callbacks = progress_callbacks(config.batch_size)
        trainer = build_trainer(config, run_dir, callbacks, [])
        record: dict[str, Any] = {"seed": config.seed, "checkpoint": str(checkpoint)}
        scores = test_and_write(
            trainer, module, data, table, run_dir, split=config.split, record=record
        )
        if trainer.is_global_zero:
            record["wall_time_seconds"] = time.time() - started
            RunFolder(run_dir).write_record({**record, **environment(module.device)})
            if config.report:
                write_report(run_dir)
            tell_where(run_dir)
        return Run(run_dir, checkpoint, scores)


def _data(config: EvaluateConfig, table: SampleTable, model: AGNet) -> AGNetDataModule:
    """Make the loaders; ``backbone_only`` gets no regions, so none are computed."""
    transform = evaluation_transform(model.data_config)
    return AGNetDataModule(
        table,
        transform,
        transform,
        model.proposer if model.head.needs_regions else None,
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        seed=config.seed or 0,
    )


@contextmanager
def interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """Turn Lightning's exit after Ctrl-C back into KeyboardInterrupt."""
    try:
        yield
    except SystemExit as exit_request:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_request
        raise


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's remarks that say nothing about this run off the terminal."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in REMARKS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)


def check_classes(model: AGNet, table: SampleTable, checkpoint: str) -> None:
    """Refuse a dataset whose classes are not those of the checkpoint.

    Raises:
        CheckpointError: says how they differ.
    """
    stored = model.classes or ()
    if stored == table.classes:
        return
    if len(stored) != len(table.classes):
        difference = f"knows {len(stored)} classes, dataset={table.name} has {len(table.classes)}"
    else:
        number = next(
            i
            for i, pair in enumerate(zip(stored, table.classes, strict=True))
            if pair[0] != pair[1]
        )
        difference = f"has {stored[number]!r} as class {number}, dataset={table.name} has {table.classes[number]!r}"
    raise CheckpointError(
        f"{checkpoint} {difference}; evaluate it on the dataset it was trained on, or train on this one"
    )


def test_and_write(
    trainer: pl.Trainer,
    module: AGNetModule,
    data: AGNetDataModule,
    table: SampleTable,
    run_dir: Path,
    *,
    split: str,
    record: dict[str, Any],
) -> dict[str, Any] | None:
    """Run the test loop, write scores, predictions and confusion, and print the scores.

    Returns:
        The scores; None on all processes but the first.
    """
    with interruptible(trainer):
        trainer.test(module, datamodule=data, verbose=False)
    if not trainer.is_global_zero or module.predictions is None:
        return None
    scores = {
        "dataset": table.name,
        "split": split,
        "root": str(table.root),
        **score(module.predictions, table.classes),
        **record,
    }
    folder = RunFolder(run_dir)
    paths = [sample.path for sample in table.splits["test"]]
    folder.write_results(scores, module.predictions, paths, table.classes, table.root)
    confusion = confusion_matrix(scores["confusion_matrix"], table.classes)
    save_png(confusion.figure, folder.confusion)
    tell_scores(scores)
    return scores
