"""A run whose network is to be corrected: its options, images, and what its last layer sees."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rich.progress import track

from agnet_vision.data.marks import MarkTable
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import load_model
from agnet_vision.options.resolve import read_stored, run_folder_of
from agnet_vision.options.run import CorrectConfig, TrainConfig
from agnet_vision.options.validation import validate
from agnet_vision.predict.predictor import choose_device
from agnet_vision.training.build import (
    build_data,
    build_table,
    require_classes,
    require_samples,
)
from agnet_vision.training.console import console
from agnet_vision.training.embeddings import Embeddings, embed


class OpenedRun:
    """A run whose network is to be corrected, and what its last layer sees of the images.

    What is stored once serves every correction of the run.

    Raises:
        AGNetError: an option or the run is not right.
    """

    def __init__(self, config: CorrectConfig) -> None:
        run = RunFolder(run_folder_of(config.checkpoint))
        if not run.config.is_file() or not run.splits.is_file():
            raise ConfigError(
                f"checkpoint={config.checkpoint} must be of a run, whose folder says which images "
                "it was trained on"
            )
        self.checkpoint = run.best if Path(config.checkpoint).is_dir() else config.checkpoint
        stored = read_stored(run.path)
        stored["dataset"]["root"] = config.root or stored["dataset"]["root"]
        own = {"workers": config.workers, "batch_size": config.batch_size, "tta": "none"}
        self.options = validate(TrainConfig, {**stored, **own, "cache_dir": config.cache_dir})

        self.model = load_model(config.checkpoint)
        self.model.task.require_single("agnet correct")
        table = build_table(self.options.dataset, self.options.seed)
        require_classes(table, self.model.classes or (), config.checkpoint)
        self.table = table.read_splits(run.splits)
        require_samples(self.table, "val")
        self.device = choose_device(config.device)

    @cached_property
    def train(self) -> Embeddings:
        """The training images as evaluation sees them."""
        return self.embed("train")

    @cached_property
    def augmented(self) -> Embeddings:
        """The training images, augmented once."""
        return self.embed("train", view=1)

    @cached_property
    def val(self) -> Embeddings:
        """The validation images."""
        return self.embed("val")

    def embed(self, split: str, marks: MarkTable | None = None, view: int = 0) -> Embeddings:
        """Store images of a split, as evaluation sees them or (``view``) augmented.

        Args:
            split: "train", "val" or "test".
            marks: store what these say, and marked images alone; None: all images.
            view: number of the augmented view; 0: none.
        """
        samples = self.table.splits[split]
        if marks is not None:
            samples = [sample for sample in samples if marks.are_on(sample.path)]
        table = replace(self.table, splits={"train": [], "val": samples, "test": []})
        data = build_data(table, self.model, self.options)
        data.marks = marks
        if view:
            data.seed += view
            data.transforms["val"] = data.transforms["train"]
        data.prepare_data()
        batches = (data.on_before_batch_transfer(batch, 0) for batch in data.val_dataloader())
        title = f"{split}{' marked' if marks else ''}{f', view {view}' if view else ''}"
        shown = track(batches, title, len(data.val_dataloader()), console=console(), transient=True)
        return embed(self.model.to(self.device), shown, self.device)
