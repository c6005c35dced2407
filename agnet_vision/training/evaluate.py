"""``evaluate``: a checkpoint on a dataset -> scores, files and a table."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from yaml import YAMLError

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.preprocessing import evaluation_transform
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.evaluation.charts import confusion_matrix, save_png
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.training.build import build_table, build_trainer, require_samples
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.options import DRAWN, check_evaluation
from agnet_vision.training.progress import ProgressBar

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"


def evaluate(config: DictConfig) -> dict[str, Any] | None:
    """Evaluate a checkpoint and write ``metrics.json``, ``predictions.csv`` and the plots.

    Args:
        config: what ``conf/evaluate.yaml`` composes to, resolved.

    Returns:
        The scores; None on all processes but the first.

    Raises:
        AGNetError: an option, the dataset, or the checkpoint is not right.
    """
    started = time.time()
    quieten_lightning()
    check_evaluation(config)
    run_dir = share_run_dir(config.run_dir)
    if (run_dir / "config.yaml").exists():
        raise ConfigError(
            f"run_dir={run_dir} holds a training run, whose own scores would be lost; name another folder"
        )
    model = load_model(config.checkpoint)
    config = split_as_trained(config)
    table = build_table(config)
    check_classes(model, table, config.checkpoint)
    require_samples(table, config.split)
    run_dir.mkdir(parents=True, exist_ok=True)
    transform = evaluation_transform(model.data_config)
    # The split to be scored takes the place of the test split; no other is touched.
    table.splits = {"train": [], "val": [], "test": table.splits[config.split]}
    data = AGNetDataModule(
        table,
        transform,
        transform,
        model.proposer if model.head.needs_regions else None,
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        seed=config.seed,
    )
    module = AGNetModule(model)
    bar = [ProgressBar(config.batch_size)] if config.trainer.progress_bar else []
    trainer = build_trainer(config, run_dir, bar, [])
    record = {"seed": config.seed, "checkpoint": str(config.checkpoint)}
    scores = test_and_write(
        trainer, module, data, table, run_dir, split=config.split, record=record
    )
    if trainer.is_global_zero:
        record["wall_time_seconds"] = time.time() - started
        RunFolder(run_dir).write_record({**record, **environment(module.device)})
        if config.report:
            write_report(run_dir)
    return scores


def share_run_dir(run_dir: str) -> Path:
    """Return the absolute folder of a run: what the first process says, in all the processes that Lightning starts."""
    if os.environ.get("LOCAL_RANK", "0") == "0" or RUN_DIR_VARIABLE not in os.environ:
        os.environ[RUN_DIR_VARIABLE] = str(Path(run_dir).absolute())
    return Path(os.environ[RUN_DIR_VARIABLE])


@contextmanager
def interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """Turn Lightning's exit after Ctrl-C back into KeyboardInterrupt."""
    try:
        yield
    except SystemExit as exit_request:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_request
        raise


def quieten_lightning() -> None:
    """Keep Lightning's remarks that say nothing about this run off the terminal; warnings of substance stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*Checkpoint directory .* exists and is not empty.*",  # it holds config.yaml, or the run to go on with
        ".*does not have many workers.*",  # workers= is the user's choice
        ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
        ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about torch's next release
        ".*is smaller than the logging interval.*",  # what matters is logged every epoch
        ".*Skipping val loop.*",  # no validation split, on purpose
    ):
        warnings.filterwarnings("ignore", message=message)


def split_as_trained(config: DictConfig) -> DictConfig:
    """Take the seed of the run that made the checkpoint where none is given: it may have drawn the split.

    Raises:
        ConfigError: an option draws another split of the run's own images, so that images it was trained on would be scored.
    """
    place = Path(config.checkpoint)
    path = (place if place.is_dir() else place.parent) / "config.yaml"
    try:
        stored = DictConfig(OmegaConf.load(path) if path.is_file() else {})
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"{path} must be the options of the run, and is damaged; without the file give seed= yourself"
        ) from error
    seed = OmegaConf.select(stored, "seed", default=0) if config.seed is None else config.seed
    config = DictConfig(OmegaConf.merge(config, {"seed": seed}))
    before, now = (
        (OmegaConf.select(part, "dataset.name"), _place(part)) for part in (stored, config)
    )
    if before == now:
        for option in DRAWN:
            theirs, ours = OmegaConf.select(stored, option), OmegaConf.select(config, option)
            if theirs != ours:
                raise ConfigError(
                    f"{option}={ours} may draw another split than the run did, and score images it was trained on; give "
                    f"{option}={theirs}"
                )
    return config


def _place(config: DictConfig) -> Path | None:
    root = OmegaConf.select(config, "dataset.root")
    return Path(root).resolve() if root is not None else None


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
    """Run the test loop; write scores, predictions and confusion; print the table. None on all processes but the first."""
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
    print_scores(scores, run_dir)
    return scores


def print_scores(scores: dict[str, Any], run_dir: Path, worst: int = 10) -> None:
    """Print the scores, and the classes with the lowest AP."""
    console = Console()
    epoch = f", weights of epoch {scores['best_epoch']}" if "best_epoch" in scores else ""
    table = Table(
        title=f"{scores['dataset']}, {scores['split']} split, {scores['num_images']} images{epoch}"
    )
    names = {
        "accuracy": "acc",
        "mean per class": "mean_per_class_acc",
        "mAP": "mAP",
        "top-5": "top5",
    }
    if len(scores["per_class"]) < 6:  # the right one is always among the first five
        del names["top-5"]
    for name in names:
        table.add_column(name, justify="right")
    table.add_row(*(f"{scores[name]:.4f}" for name in names.values()))
    console.print(table)
    rows = [(name, row) for name, row in scores["per_class"].items() if row["ap"] is not None]
    rows = sorted(rows, key=lambda pair: pair[1]["ap"])[:worst]
    per_class = Table(
        title="lowest AP" if len(rows) < len(scores["per_class"]) else "classes, lowest AP first"
    )
    for name in ("class", "AP", "accuracy", "images"):
        per_class.add_column(name, justify="left" if name == "class" else "right")
    for name, row in rows:
        per_class.add_row(escape(name), f"{row['ap']:.4f}", f"{row['acc']:.4f}", str(row["num_images"]))
    console.print(per_class)
    console.print(f"written to {run_dir}", soft_wrap=True, markup=False)
