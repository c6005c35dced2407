"""``correct``: the last layer of a run's network, trained again so that it looks elsewhere.

Marks say where evidence must not lie, or must. With all below the last layer stored, cross-entropy
plus a weight times the loss of the evidence is a small problem that L-BFGS solves in seconds
(convex, but for "there" marks). Training images are stored as evaluation sees them, and augmented
once, which teaches more of each mark. The weight is the largest of a path that costs no more of the
validation accuracy than allowed: a network that leans on something false loses some when it stops,
for the validation images have it, too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.progress import track
from torch.nn.functional import cross_entropy

from agnet_vision.data.marks import read_marks
from agnet_vision.data.transforms import training_transform
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import load_model
from agnet_vision.models.checkpoint import PREFIX, describe, read_checkpoint
from agnet_vision.models.evidence import centered_square
from agnet_vision.options.resolve import read_stored, run_folder_of, stored_text
from agnet_vision.options.run import CorrectConfig, TrainConfig
from agnet_vision.options.validation import validate
from agnet_vision.predict.predictor import choose_device
from agnet_vision.training import Run
from agnet_vision.training.build import build_data, build_table, require_classes, require_samples
from agnet_vision.training.checkpoints import AtomicCheckpointIO
from agnet_vision.training.console import console, print_place, print_scores
from agnet_vision.training.embeddings import Embeddings, Layer, embed
from agnet_vision.training.run_dir import locked_run_dir

WEIGHTS = tuple(10 ** (0.5 * step) for step in range(2, 9))  # ours: 10 to 10,000
WEIGHT_DECAY = 0.01  # ours, of the last layer
MAX_STEPS = 100  # of L-BFGS


class CorrectionWarning(UserWarning):
    """A correction that did less than was asked for."""


class Fitted(NamedTuple):
    """A last layer, and what it costs."""

    weight: float  # of the evidence in the loss; 0: trained again without marks
    layer: Layer
    accuracy: float  # on the validation images
    evidence: float  # its loss on the marked training images


def correct(config: CorrectConfig) -> Run:
    """Correct a run's network by marks, and write a new run folder; the old one stays.

    Raises:
        AGNetError: an option, the marks, the dataset or the checkpoint is not right.
    """
    with locked_run_dir(Path(config.run_dir), is_new=config.run_dir_is_new) as run_dir:
        correction = Correction(config, RunFolder(run_dir))
        correction.store()
        correction.fit()
        correction.write()
        correction.test()
    return Run(run_dir, correction.folder.best, correction.scores)


class Correction:
    """One correction: built, stored, fitted, written and tested, in this order.

    Raises:
        AGNetError: an option, the marks or the run is not right.
    """

    def __init__(self, config: CorrectConfig, folder: RunFolder) -> None:
        self.began = time.time()
        self.config = config
        self.folder = folder
        self.scores: dict[str, Any] | None = None
        if folder.config.exists():
            raise ConfigError(f"run_dir={folder.path} holds a run already; name another folder")
        run = RunFolder(run_folder_of(config.checkpoint))
        if not run.config.is_file() or not run.splits.is_file():
            raise ConfigError(
                f"checkpoint={config.checkpoint} must be of a run, whose folder says which images "
                "it was trained on"
            )

        self.checkpoint = run.best if Path(config.checkpoint).is_dir() else config.checkpoint
        self.options = self._options_of(run)
        self.model = load_model(config.checkpoint)
        table = build_table(self.options.dataset, self.options.seed)
        require_classes(table, self.model.classes or (), config.checkpoint)
        self.table = table.read_splits(run.splits)
        require_samples(self.table, "val")
        self.marks = read_marks(Path(config.marks), self.table, config.look)
        self.device = choose_device(config.device)

    def store(self) -> None:
        """Store what the last layer sees of training and validation images."""
        samples = self.table.splits["train"]
        marked = sum(self.marks.are_on(sample.path) for sample in samples)
        if not marked:
            raise DatasetError(
                f"marks={self.config.marks} are on none of the {len(samples):,} training images"
            )
        console().print(f"marks   on {marked:,} of {len(samples):,} training images")
        self.model.to(self.device)
        self.train = [self._embed("train"), self._embed("train", augmented=True)]
        self.val = self._embed("val")
        self.seconds = {"store": time.time() - self.began}

    def fit(self) -> None:
        """Fit the last layer for each weight of the path, and choose one."""
        began = time.time()
        linear = self.model.head.classifier.linear
        self.before = Layer(
            linear.weight.detach().cpu().clone(), linear.bias.detach().cpu().clone()
        )
        smoothing = self.options.loss.label_smoothing
        given = self.config.weight

        layer, self.path = self.before, []
        for weight in (0.0, *(WEIGHTS if given is None else (given,))):
            layer = fit_layer(layer, self.train, weight, smoothing)
            self.path.append(self._measure(weight, layer))
        self.chosen = (
            self.path[-1] if given is not None else choose(self.path, self.config.max_cost)
        )
        self.seconds["fit"] = time.time() - began

    def write(self) -> None:
        """Write the corrected network, and the options of its run."""
        linear = self.model.head.classifier.linear
        with torch.no_grad():
            linear.weight.copy_(self.chosen.layer.weight)
            linear.bias.copy_(self.chosen.layer.bias)
        self.model.calibration = {}  # it was of the layer before

        content = read_checkpoint(self.checkpoint)
        content["state_dict"] |= {
            f"{PREFIX}{name}": value.cpu() for name, value in self.model.state_dict().items()
        }
        content["agnet"] = describe(self.model.config())
        AtomicCheckpointIO().save_checkpoint(content, self.folder.best)
        options = self.options.model_copy(update={"run_dir": str(self.folder.path)})
        self.folder.write_config(stored_text(options))
        self.table.write_splits(self.folder.splits)

    def test(self) -> None:
        """Test both networks on the same stored images, once, and write what changed."""
        test = self._embed("test") if self.table.splits["test"] else None
        self.seconds["all"] = time.time() - self.began
        self.folder.write_correction(self._summary(test))
        self.folder.write_record(
            {"seed": self.options.seed, "wall_time_seconds": self.seconds["all"]}
            | environment(self.device)
        )
        if test is not None:
            self._write_scores(self.folder.before, self.before, test)
            self.scores = self._write_scores(self.folder, self.chosen.layer, test)
            print_scores(self.scores)
            if self.config.report:
                write_report(self.folder.path, baseline=self.folder.before.path)
        print_place(self.folder)

    def _options_of(self, run: RunFolder) -> TrainConfig:
        """Read the options of the run, with those that may differ here."""
        stored = read_stored(run.path)
        config = self.config
        stored["dataset"]["root"] = config.root or stored["dataset"]["root"]
        own = {"workers": config.workers, "batch_size": config.batch_size, "tta": "none"}
        return validate(TrainConfig, {**stored, **own, "cache_dir": config.cache_dir})

    def _embed(self, split: str, *, augmented: bool = False) -> Embeddings:
        """Store the images of a split, as evaluation sees them or augmented once."""
        table = replace(
            self.table, splits={"train": [], "val": self.table.splits[split], "test": []}
        )
        data = build_data(table, self.model, self.options)
        data.marks = self.marks
        if augmented:
            options = self.options.augmentation.model_dump()
            data.transforms["val"] = training_transform(self.model.data_config, **options)
        data.prepare_data()
        batches = (data.on_before_batch_transfer(batch, 0) for batch in data.val_dataloader())
        title = f"{split}{', augmented' if augmented else ''}"
        shown = track(batches, title, len(data.val_dataloader()), console=console(), transient=True)
        return embed(self.model, shown, self.device)

    def _measure(self, weight: float, layer: Layer) -> Fitted:
        """Measure a layer on validation images, and its evidence on marked training images."""
        right = layer.logits(self.val.embedding).argmax(dim=1) == self.val.label
        evidence = float(self.train[0].evidence_loss(layer))
        return Fitted(weight, layer, float(right.float().mean()), evidence)

    def _summary(self, test: Embeddings | None) -> dict[str, Any]:
        """Describe the correction as plain data, for ``correction.json``."""
        path = [
            {name: value for name, value in fitted._asdict().items() if name != "layer"}
            for fitted in (self._measure(0.0, self.before), *self.path)
        ]
        unmarked = {"val": self.val} | ({"test": test} if test is not None else {})
        evidence = {
            split: {
                name: float(centered_square(stored.evidence_inside(layer)).mean().sqrt())
                for name, layer in (("before", self.before), ("after", self.chosen.layer))
            }
            for split, stored in unmarked.items()
            if len(stored.no)
        }
        return {
            "checkpoint": str(Path(self.checkpoint).absolute()),
            "marks": self.config.marks,
            "weight": self.chosen.weight,
            "max_cost": self.config.max_cost,
            "before": path[0],
            "path": path[1:],
            "marked_images": {
                split: sum(self.marks.are_on(sample.path) for sample in samples)
                for split, samples in self.table.splits.items()
            },
            "evidence_inside_other_marks": evidence,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
        }

    def _write_scores(self, folder: RunFolder, layer: Layer, test: Embeddings) -> dict[str, Any]:
        """Score a layer on the stored test images, and write scores and predictions."""
        folder.path.mkdir(exist_ok=True)
        table, samples = self.table, self.table.splits["test"]
        probability = layer.logits(test.embedding).softmax(dim=1)
        predictions = Predictions(torch.arange(len(samples)), test.label, probability)
        scores = {
            "dataset": table.name,
            "split": "test",
            "root": str(table.root),
            **score(predictions, table.classes),
            "seed": self.options.seed,
            "checkpoint": str(Path(self.checkpoint).absolute()),
            "tta": "none",
        }
        paths = [sample.path for sample in samples]
        folder.write_results(scores, predictions, paths, table.classes, table.root)
        return scores


def fit_layer(
    start: Layer, stored: Sequence[Embeddings], weight: float, label_smoothing: float
) -> Layer:
    """Fit a last layer to the cross-entropy plus ``weight`` times the loss of its evidence.

    Args:
        start: layer to start from.
        stored: what is stored of the training images, once or several times.
        weight: weight of the evidence.
        label_smoothing: as in training.
    """
    layer = Layer(start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_())
    optimizer = torch.optim.LBFGS(
        [layer.weight, layer.bias],
        max_iter=MAX_STEPS,
        tolerance_grad=1e-5,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = WEIGHT_DECAY / 2 * layer.weight.square().sum()
        for each in stored:
            logits = layer.logits(each.embedding)
            fit = cross_entropy(logits, each.label, label_smoothing=label_smoothing)
            if weight:
                fit = fit + weight * each.evidence_loss(layer)
            loss = loss + fit / len(stored)
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    return Layer(layer.weight.detach(), layer.bias.detach())


def choose(path: Sequence[Fitted], max_cost: float) -> Fitted:
    """Choose the largest weight whose validation accuracy is not too far below that without marks.

    Args:
        path: layers by increasing weight; the first was trained without marks.
        max_cost: share of that accuracy which a correction may cost.
    """
    least = (1 - max_cost) * path[0].accuracy
    fitting = [fitted for fitted in path[1:] if fitted.accuracy >= least]
    if not fitting:
        warnings.warn(
            f"every weight costs more than max_cost={max_cost} of the validation accuracy, so the "
            f"least, {path[1].weight:g}, is taken; give max_cost or weight",
            CorrectionWarning,
            stacklevel=2,
        )
        return path[1]
    if fitting[-1] is path[-1]:
        warnings.warn(
            f"the largest weight of the path, {path[-1].weight:g}, costs less than max_cost="
            f"{max_cost}: the marks change little, or a larger weight would change more",
            CorrectionWarning,
            stacklevel=2,
        )
    return fitting[-1]
