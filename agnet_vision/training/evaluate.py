"""``evaluate``: scores, files and plots of a checkpoint."""

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
from agnet_vision.data.sources.listing import image_name
from agnet_vision.data.sources.samples import DatasetWarning, SampleTable
from agnet_vision.data.sources.split_list import read_split_list
from agnet_vision.data.views import COUNTS, TTA
from agnet_vision.errors import CheckpointError
from agnet_vision.evaluation.charts import confusion_matrix, save_png
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.options.resolve import is_same, run_folder_of, run_options
from agnet_vision.options.run import EvaluateConfig
from agnet_vision.options.validation import look_up
from agnet_vision.training.build import build_table, build_views, require_samples
from agnet_vision.training.console import tell_scores, tell_where
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.progress import progress_callbacks
from agnet_vision.training.result import Run
from agnet_vision.training.run_dir import claimed_run_dir
from agnet_vision.training.stop import interruptible, stoppable
from agnet_vision.training.trainer import build_trainer

REMARKS = (
    ".*Checkpoint directory .* exists and is not empty.*",  # it holds the options of the run
    ".*does not have many workers.*",  # the user's choice
    ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
    ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about torch's next release
    ".*is smaller than the logging interval.*",  # what matters is logged every epoch
    ".*Skipping val loop.*",  # no validation split, on purpose
)


def evaluate(config: EvaluateConfig) -> Run:
    """Write a checkpoint's ``metrics.json``, ``predictions.csv`` and plots.

    Args:
        config: all options; its dataset must be set.

    Raises:
        AGNetError: an option, the dataset, or the checkpoint is not right.
    """
    assert config.dataset is not None
    started = time.time()
    with quiet_lightning(), stoppable(), claimed_run_dir(config) as run_dir:
        model = load_model(config.checkpoint)
        place = Path(config.checkpoint)
        checkpoint = place.absolute() if place.exists() else config.checkpoint
        table = build_table(config.dataset, config.seed or 0)
        check_classes(model, table, config.checkpoint)
        table = split_as_its_run_did(table, config)
        require_samples(table, config.split)
        # The split to be scored takes the place of the test split; no other is touched.
        table.splits = {"train": [], "val": [], "test": table.splits[config.split]}

        tta = config.tta or "none"
        module, data = AGNetModule(model), _data(config, table, model, tta)
        callbacks: list[Callback] = []
        if config.trainer.progress_bar:
            callbacks = progress_callbacks(max(1, config.batch_size // COUNTS[tta]))
        trainer = build_trainer(config, run_dir, callbacks, [])
        record: dict[str, Any] = {"seed": config.seed, "checkpoint": str(checkpoint), "tta": tta}
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


def split_as_its_run_did(table: SampleTable, config: EvaluateConfig) -> SampleTable:
    """Take the run's split list if these are its images.

    Images elsewhere of which the list does not speak keep the split that was drawn for them; a
    ``DatasetWarning`` says so where some of those to be scored have the names of others that the
    run was trained on.

    Raises:
        DatasetError: images of the run are missing, or are in another class now.
    """
    stored = run_options(config.checkpoint)
    path = RunFolder(run_folder_of(config.checkpoint)).splits
    if not path.is_file() or look_up(stored, "dataset.name") != table.name:
        return table
    assert config.dataset is not None
    difference = table.compare_splits(path)
    is_whole = not difference.missing and not difference.relabeled
    if is_whole or is_same(config.dataset.root, look_up(stored, "dataset.root")):
        return table.read_splits(path)
    layout = table.layout or table.root
    trained = {row.path for row in read_split_list(path) if row.split == "train"}
    scored = {image_name(sample.path, layout) for sample in table.splits[config.split]}
    if config.split != "train" and (known := trained & scored):
        warnings.warn(
            f"{len(known):,} of the {len(scored):,} images in the {config.split} split of "
            f"{table.root} have names of images the network was trained on, {min(known)} for one; "
            "if they are the same, the scores are too good",
            DatasetWarning,
            stacklevel=2,
        )
    return table


def _data(config: EvaluateConfig, table: SampleTable, model: AGNet, tta: TTA) -> AGNetDataModule:
    """Make the loaders, without regions for a network without them."""
    transform = evaluation_transform(model.data_config)
    return AGNetDataModule(
        table,
        transform,
        transform,
        model.proposer if model.head.needs_regions else None,
        views=build_views(model, tta),
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        seed=config.seed or 0,
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's idle remarks off the terminal."""
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
    """Refuse a dataset with other classes than the checkpoint's.

    Raises:
        CheckpointError: says how they differ.
    """
    stored = model.classes or ()
    if stored == table.classes:
        return
    if len(stored) != len(table.classes):
        difference = f"knows {len(stored)} classes, dataset={table.name} has {len(table.classes)}"
    else:
        pairs = enumerate(zip(stored, table.classes, strict=True))
        number, (own, other) = next(each for each in pairs if each[1][0] != each[1][1])
        difference = f"has {own!r} as class {number}, dataset={table.name} has {other!r}"
    raise CheckpointError(
        f"{checkpoint} {difference}; "
        "evaluate it on the dataset it was trained on, or train on this one"
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
    """Test, write scores, predictions and confusion, and print scores.

    Args:
        trainer: Lightning's.
        module: the network to test.
        data: its test loader has the images.
        table: its test split names them, in the same order.
        run_dir: where the files go.
        split: what the test split is called in ``metrics.json``.
        record: further entries of ``metrics.json``.

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
