"""``evaluate``, from its options to a folder with the scores of a checkpoint."""

from __future__ import annotations

import filecmp
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.preprocessing import change_view
from agnet_vision.data.sources.card import dataset_root
from agnet_vision.data.sources.listing import image_name, name_some
from agnet_vision.data.sources.samples import DatasetWarning, SampleTable
from agnet_vision.data.sources.split_list import read_split_list
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.charts import errors_figure, save_png
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import load_model
from agnet_vision.options.resolve import has_own_images, is_same, run_folder_of, run_options
from agnet_vision.options.run import EvaluateConfig
from agnet_vision.options.validation import look_up
from agnet_vision.task import SINGLE_LABEL, Task
from agnet_vision.training import Run
from agnet_vision.training.build import build_data, build_table, require_classes, require_samples
from agnet_vision.training.checkpoints import stoppable
from agnet_vision.training.console import print_place, print_scores, progress_callback
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.run_dir import locked_run_dir
from agnet_vision.training.trainer import build_trainer, quiet_lightning


def evaluate(config: EvaluateConfig) -> Run:
    """Write a checkpoint's ``metrics.json``, ``predictions.csv`` and plots.

    Raises:
        AGNetError: an option, the dataset, or the checkpoint is not right.
    """
    locked = locked_run_dir(Path(config.run_dir), is_new=config.run_dir_is_new)
    with quiet_lightning(), locked as run_dir, stoppable(run_dir):
        evaluation = Evaluation(config, RunFolder(run_dir))
        evaluation.test()
        evaluation.finish()
    return Run(run_dir, evaluation.checkpoint, evaluation.scores)


class TestedNetwork:
    """A network, the images it is tested on, and the folder its scores go to."""

    __test__ = False  # pytest takes the name for that of a test

    folder: RunFolder
    table: SampleTable  # its test split names the images that are scored
    module: AGNetModule
    data: AGNetDataModule
    trainer: pl.Trainer
    record: dict[str, Any]  # what metrics.json says beside the scores
    split: str = "test"  # name of these images in metrics.json
    scores: dict[str, Any] | None = None  # on the first process, after the test

    def test(self) -> None:
        """Test the network, and write and print its scores."""
        self.trainer.test(self.module, datamodule=self.data, verbose=False)
        predictions = self.module.predictions
        if not self.trainer.is_global_zero or predictions is None:
            return

        task = self.module.model.task
        self.scores = write_scores(
            self.folder, self.table, predictions, self.record, split=self.split, task=task
        )
        print_scores(self.scores, task)


def write_scores(
    folder: RunFolder,
    table: SampleTable,
    predictions: Predictions,
    record: Mapping[str, Any],
    *,
    split: str = "test",
    task: Task = SINGLE_LABEL,
) -> dict[str, Any]:
    """Score predictions for the test split of a table, and write scores, predictions and errors.

    Args:
        folder: where they go.
        table: the images.
        predictions: probabilities for them.
        record: what ``metrics.json`` is to say beside the scores.
        split: name of these images in ``metrics.json``.
        task: what labels and probabilities mean.
    """
    scores = {
        "dataset": table.name,
        "split": split,
        "root": str(table.root),
        **score(predictions, table.classes, task),
        **record,
    }
    paths = [sample.path for sample in table.splits["test"]]
    folder.write_results(scores, predictions, paths, table.classes, table.root, task)
    save_png(errors_figure(task, scores, table.classes), folder.confusion)
    return scores


class Evaluation(TestedNetwork):
    """One evaluation of a checkpoint: built, then tested, then finished.

    Raises:
        AGNetError: the folder is a training's, or dataset and checkpoint do not fit.
    """

    def __init__(self, config: EvaluateConfig, folder: RunFolder) -> None:
        self.began = time.time()
        self.config = config
        self.folder = folder
        self.split = config.split
        if folder.config.exists():
            raise ConfigError(
                f"run_dir={folder.path} holds a training run, whose own scores would be lost; "
                "name another folder"
            )

        model = load_model(config.checkpoint)
        model.data_config = change_view(
            model.data_config, image_size=config.image_size, view=config.view
        )
        place = Path(config.checkpoint)
        self.checkpoint = place.absolute() if place.exists() else config.checkpoint
        self.record = {
            "seed": config.seed,
            "checkpoint": str(self.checkpoint),
            "data_config": model.data_config,
            "tta": config.tta,
        }

        self.table = table_to_score(config, model.classes or ())
        require_classes(self.table, model.classes or (), config.checkpoint, model.task)
        require_samples(self.table, config.split)
        self._refuse_another()
        # The split to be scored takes the place of the test split; no other is touched.
        self.table.splits = {"train": [], "val": [], "test": self.table.splits[config.split]}

        self.module = AGNetModule(model)
        self.data = build_data(self.table, model, config)
        callbacks = [progress_callback()] if config.trainer.progress_bar else []
        self.trainer = build_trainer(config.trainer, folder.path, callbacks)

    def _refuse_another(self) -> None:
        """Refuse a folder with the scores of another evaluation, which would be lost."""
        if not self.folder.metrics.exists():
            return
        before = self.folder.read_metrics()
        now = {**self.record, "split": self.split, "root": str(self.table.root)}
        for name, value in json.loads(json.dumps(now)).items():
            if before.get(name) != value:
                raise ConfigError(
                    f"run_dir={self.folder.path} holds the scores of another evaluation, with "
                    f"{name}={before.get(name)}; name another folder"
                )

    def finish(self) -> None:
        """Write what the evaluation ran on, and the report."""
        if not self.trainer.is_global_zero:
            return
        seconds = time.time() - self.began
        self.folder.write_record(
            {**self.record, "wall_time_seconds": seconds, **environment(self.module.device)}
        )
        if self.config.report:
            write_report(self.folder.path)
        print_place(self.folder)


def table_to_score(config: EvaluateConfig, known: tuple[str, ...]) -> SampleTable:
    """Read the images to score: split as the run did if they are its own, wherever they lie.

    Of other images none is held out: those of a folder without parts are scored, all of them.

    Args:
        config: options of the evaluation.
        known: classes of the network.

    Raises:
        DatasetError: images of the run are missing, or are in another class now.
    """
    stored = run_options(config.checkpoint)
    path = RunFolder(run_folder_of(config.checkpoint)).splits
    values = {"dataset": config.dataset.model_dump()}
    if has_own_images(stored, values):
        table = build_table(config.dataset, config.seed)
        return table.read_splits(path) if path.is_file() else table

    table = build_table(config.dataset, config.seed, known)
    if path.is_file() and look_up(stored, "dataset.name") == config.dataset.name:
        difference = table.compare_splits(path)
        is_whole = not difference.missing and not difference.relabeled
        root = look_up(stored, "dataset.root")
        if is_whole and not is_same(config.dataset.root, root) and _is_copy(table, path, root):
            return table.read_splits(path)
        _warn_of_known_names(table, config.split, path)

    samples = table.splits[config.split]
    present = {number for sample in samples for number in table.task.numbers(sample.label)}
    absent = [name for label, name in enumerate(known) if label not in present]
    if absent and present:
        warnings.warn(
            f"{table.root} has no {config.split} image of {name_some(absent)}: without an AP these "
            "classes take no part in the means",
            DatasetWarning,
            stacklevel=2,
        )
    return table


def _is_copy(table: SampleTable, path: Path, root: str | None) -> bool:
    """Tell whether images of the names of a run's are these, by some of those still there."""
    layout = table.layout or table.root
    before = dataset_root(table.name, root)
    if layout != table.root:
        before /= layout.relative_to(table.root)
    pairs = [(before / row.path, layout / row.path) for row in read_split_list(path)[:100]]
    return all(filecmp.cmp(old, new) for old, new in pairs if old.is_file())


def _warn_of_known_names(table: SampleTable, split: str, path: Path) -> None:
    """Warn where images to be scored have the names of those the network was trained on."""
    layout = table.layout or table.root
    trained = {row.path for row in read_split_list(path) if row.split == "train"}
    scored = {image_name(sample.path, layout) for sample in table.splits[split]}
    if split != "train" and (known := trained & scored):
        warnings.warn(
            f"{len(known):,} of the {len(scored):,} images in the {split} split of "
            f"{table.root} have names of images the network was trained on, {min(known)} for one; "
            "if they are the same, the scores are too good",
            DatasetWarning,
            stacklevel=3,
        )
