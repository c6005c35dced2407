"""``correct``: the last layer of a run's network, trained again so that it looks elsewhere.

Marks say where evidence must not lie, or must. With all below the last layer stored, cross-entropy
plus a weight times the loss of the evidence, close to the layer as it was, is a small problem that
L-BFGS solves in seconds. Marked images are stored augmented several times: that teaches more of
each mark. The weight grows along a path for as long as a step pays, on marks that were kept out of
the fit, and costs no more of the validation accuracy than allowed: a network that leans on
something false loses some when it stops, for the validation images have it, too.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from agnet_vision.data.image import read_image
from agnet_vision.data.sources.listing import image_name
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.environment import environment
from agnet_vision.evaluation.metrics import Predictions
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.thumbnails import SHOWN
from agnet_vision.models.checkpoint import PREFIX, describe, read_checkpoint
from agnet_vision.models.evidence import centered_square
from agnet_vision.options.resolve import stored_text
from agnet_vision.options.run import CorrectConfig
from agnet_vision.training import Run
from agnet_vision.training.build import (
    build_marks,
)
from agnet_vision.training.checkpoints import AtomicCheckpointIO
from agnet_vision.training.console import console, print_place, print_scores
from agnet_vision.training.embeddings import Embeddings
from agnet_vision.training.evaluate import write_scores
from agnet_vision.training.last_layer import Layer, fit_layer
from agnet_vision.training.opened_run import OpenedRun
from agnet_vision.training.run_dir import locked_run_dir

# Ours, chosen on validation images of one network with painted labels (docs/correct.md).
WEIGHTS = tuple(10 ** (0.5 * step) for step in range(7))  # 1 to 1,000
MARK_VIEWS = 8  # augmented views of each marked image, at most
MOST_MARKED = 2  # of these views together, for each training image
ANCHOR = 1.0  # of the squared distance to the layer as it was
LEAST_GAIN = 0.2  # part of the evidence inside marks not fitted that a step must take away
FOLDS = 2  # parts of the marked images, each kept out once


class CorrectionWarning(UserWarning):
    """A correction that did less than was asked for."""


class Fitted(NamedTuple):
    """A last layer, and what it costs."""

    weight: float  # of the evidence in the loss; 0: trained again without marks
    layer: Layer
    accuracy: float  # on the validation images
    evidence: float  # its loss on the marked training images
    evidence_kept_out: float  # the same on marked images that had no part in the fit


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

    Args:
        config: options of the correction.
        folder: folder of the new run.
        opened: the run, if it is open already.

    Raises:
        AGNetError: an option, the marks or the run is not right.
    """

    def __init__(
        self, config: CorrectConfig, folder: RunFolder, opened: OpenedRun | None = None
    ) -> None:
        self.began = time.time()
        self.config = config
        self.folder = folder
        self.scores: dict[str, Any] | None = None
        if folder.config.exists():
            raise ConfigError(f"run_dir={folder.path} holds a run already; name another folder")
        self.run = opened or OpenedRun(config)
        self.marks = build_marks(config.marks, config.look, self.run.table)

    def store(self) -> None:
        """Store what the last layer sees of training and validation images."""
        samples = self.run.table.splits["train"]
        marked = self.marks.count(samples)
        console().print(f"marks   on {marked:,} of {len(samples):,} training images")
        more = min(MARK_VIEWS, MOST_MARKED * len(samples) // max(marked, 1))
        views = [self.run.embed("train", self.marks, view) for view in range(2 + more)]
        rows = self._marked_rows("train")
        self.train = self.run.train.with_marks(views[0], rows)
        self.augmented = self.run.augmented.with_marks(views[1], rows)
        self.marked = views[2:]
        self.val = self._marked(self.run.val, "val")
        self.seconds = {"store": time.time() - self.began}

    def _marked(self, stored: Embeddings, split: str) -> Embeddings:
        """Add what the marks on a split say to what is stored of it."""
        rows = self._marked_rows(split)
        return stored.with_marks(self.run.embed(split, self.marks), rows) if len(rows) else stored

    def _marked_rows(self, split: str) -> Int[Tensor, " marked"]:
        """Number the marked images of a split."""
        samples = self.run.table.splits[split]
        marked = [row for row, each in enumerate(samples) if self.marks.are_on(each.path)]
        return torch.tensor(marked, dtype=torch.int64)

    def fit(self) -> None:
        """Fit the last layer for each weight of the path for as long as it pays."""
        began = time.time()
        linear = self.run.model.head.classifier.linear
        weight, bias = linear.weight.detach(), linear.bias.detach()
        self.before = Layer(weight.cpu().clone(), bias.cpu().clone())

        self.path = [self._fit(0.0)]
        self.chosen = self.path[0]
        given = self.config.weight
        for each in WEIGHTS if given is None else (given,):
            fitted = self._fit(each)
            self.path.append(fitted)
            if given is None and not pays(self.chosen, fitted, self.path[0], self.config.max_cost):
                break
            self.chosen = fitted
        if self.chosen is self.path[0] and given is None:
            warnings.warn(
                "nothing is corrected: what the marks hold has nothing in common, or every weight "
                f"costs more than max_cost={self.config.max_cost} of the validation accuracy; the "
                "last layer is trained again without marks. Mark more images, or give weight",
                CorrectionWarning,
                stacklevel=2,
            )
        if self.path[-1] is self.chosen and given is None:
            warnings.warn(
                f"the largest weight of the path, {self.chosen.weight:g}, still pays; a larger one "
                "may change more: give weight",
                CorrectionWarning,
                stacklevel=2,
            )
        self.seconds["fit"] = time.time() - began
        console().print(f"weight  {self.chosen.weight:g}: {self.describe()}")

    def describe(self) -> str:
        """Say what the validation accuracy and the evidence inside marks became."""
        before, after = self.as_it_was(), self.chosen
        words = f"validation accuracy {before.accuracy:.3f} before, {after.accuracy:.3f} after"
        if not after.weight or not before.evidence_kept_out:
            return words
        gone = 1 - after.evidence_kept_out / before.evidence_kept_out
        return f"{words}; {gone:.0%} of the evidence is gone from marks kept out of the fit"

    def as_it_was(self) -> Fitted:
        """Measure the last layer as it was."""
        kept_out = [float(other.evidence_loss(self.before)) for _, other in self._folds()]
        return self._measure(0.0, self.before, kept_out)

    def write(self) -> None:
        """Write the corrected network, and the options of its run."""
        model = copy.deepcopy(self.run.model)
        linear = model.head.classifier.linear
        with torch.no_grad():
            linear.weight.copy_(self.chosen.layer.weight)
            linear.bias.copy_(self.chosen.layer.bias)
        model.calibration = {}  # it was of the layer before

        content = read_checkpoint(self.run.checkpoint)
        content["state_dict"] |= {
            f"{PREFIX}{name}": value.cpu() for name, value in model.state_dict().items()
        }
        content["agnet"] = describe(model.config())
        AtomicCheckpointIO().save_checkpoint(content, self.folder.best)
        options = self.run.options.model_copy(update={"run_dir": str(self.folder.path)})
        self.folder.write_config(stored_text(options))
        self.run.table.write_splits(self.folder.splits)

    def test(self) -> None:
        """Test both networks on the same stored images, once, and write what changed."""
        began = time.time()
        test = None
        if self.run.table.splits["test"]:
            test = self._marked(self.run.embed("test"), "test")
        self.seconds["test"] = time.time() - began
        self.seconds["all"] = sum(self.seconds.values())
        self.folder.write_correction(self._summary(test))
        self.folder.write_record(
            {"seed": self.run.options.seed, "wall_time_seconds": self.seconds["all"]}
            | environment(self.run.device)
        )
        if test is not None:
            self._write_scores(self.folder.before, self.before, test)
            self.scores = self._write_scores(self.folder, self.chosen.layer, test)
            print_scores(self.scores)
            if self.config.report:
                write_report(self.folder.path)
        print_place(self.folder)

    def _fit(self, weight: float) -> Fitted:
        """Fit a layer to all marks, and others to all but a part of the marks."""
        smoothing = self.run.options.loss.label_smoothing
        everything = Embeddings.cat([self.train, self.augmented])
        marked = Embeddings.cat([self.train, self.augmented, *self.marked])
        layer = fit_corrected(self.before, everything, marked, weight, smoothing)

        # Without marks all parts are fitted alike.
        kept_out = [
            float(
                other.evidence_loss(fit_corrected(self.before, self.train, own, weight, smoothing))
            )
            for own, other in self._folds()
        ]
        return self._measure(weight, layer, kept_out)

    def _folds(self) -> Iterator[tuple[Embeddings, Embeddings]]:
        """Part what is stored of marked images: those fitted, and those kept out."""
        fold = torch.arange(len(self.marked[0].label)) % FOLDS
        for part in range(FOLDS):
            fitted, other = (
                Embeddings.cat([each.only(chosen) for each in self.marked])
                for chosen in (fold != part, fold == part)
            )
            if len(fitted.label) and len(other.label):
                yield fitted, other

    def _measure(self, weight: float, layer: Layer, kept_out: Sequence[float]) -> Fitted:
        """Measure a layer on validation images and on marked training images."""
        right = layer.logits(self.val.embedding).argmax(dim=1) == self.val.label
        evidence = float(self.train.evidence_loss(layer))
        outside = sum(kept_out) / max(len(kept_out), 1)
        return Fitted(weight, layer, float(right.float().mean()), evidence, outside)

    def _summary(self, test: Embeddings | None) -> dict[str, Any]:
        """Describe the correction as plain data, for ``correction.json``."""
        before = self.as_it_was()
        path = [
            {name: value for name, value in fitted._asdict().items() if name != "layer"}
            for fitted in (before, *self.path)
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
            "checkpoint": str(Path(self.run.checkpoint).absolute()),
            "marks": self.config.marks,
            "weight": self.chosen.weight,
            "max_cost": self.config.max_cost,
            "before": path[0],
            "path": path[1:],
            "marked_images": {
                split: self.marks.count(samples) for split, samples in self.run.table.splits.items()
            },
            "evidence_inside_other_marks": evidence,
            "shown": self._shown(),
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
        }

    def _shown(self) -> list[dict[str, Any]]:
        """Choose marked images for the report, those that had no part in the fit first."""
        rng = np.random.default_rng(0)
        marked = []
        for split in ("test", "val", "train"):
            samples = [
                each for each in self.run.table.splits[split] if self.marks.are_on(each.path)
            ]
            marked += [(split, samples[number]) for number in rng.permutation(len(samples))]

        shown = []
        for split, sample in marked[:SHOWN]:
            image = read_image(sample.path)
            height, width = image.shape[:2]
            marks = self.marks.of(sample.path, image)
            boxes = marks.boxes[marks.look != 0] / ([width, height] * 2)
            label = self.run.table.classes[sample.label]
            path = image_name(sample.path, self.run.table.root)
            shown.append({"path": path, "split": split, "label": label, "boxes": boxes.tolist()})
        return shown

    def _write_scores(self, folder: RunFolder, layer: Layer, test: Embeddings) -> dict[str, Any]:
        """Score a layer on the stored test images, and write scores and predictions."""
        folder.path.mkdir(exist_ok=True)
        probability = layer.logits(test.embedding).softmax(dim=1)
        predictions = Predictions(torch.arange(len(test.label)), test.label, probability)
        checkpoint = Path(self.run.checkpoint) if folder is not self.folder else self.folder.best
        record = {
            "seed": self.run.options.seed,
            "checkpoint": str(checkpoint.absolute()),
            "tta": "none",
        }
        return write_scores(folder, self.run.table, predictions, record)


def fit_corrected(
    before: Layer, stored: Embeddings, marked: Embeddings, weight: float, label_smoothing: float
) -> Layer:
    """Fit a last layer to errors and evidence, close to the layer as it was.

    Args:
        before: layer as it was.
        stored: embeddings of the training images.
        marked: what is stored of marked images.
        weight: weight of the loss of the evidence.
        label_smoothing: as in training.
    """

    def penalty(layer: Layer) -> Tensor:
        cost = ANCHOR / 2 * (layer.weight - before.weight).square().sum()
        return cost + weight * marked.evidence_loss(layer) if weight else cost

    return fit_layer(
        before, stored.embedding, stored.label, penalty, label_smoothing=label_smoothing
    )


def pays(before: Fitted, after: Fitted, without: Fitted, max_cost: float) -> bool:
    """Tell whether a step to a larger weight takes evidence away where it was not fitted.

    Of marks on one image none can be kept out, so that no step is known to.

    Args:
        before: layer of the weight before.
        after: layer of the larger weight.
        without: layer trained again without marks.
        max_cost: share of its validation accuracy which a correction may cost.
    """
    is_cheap = after.accuracy >= (1 - max_cost) * without.accuracy
    left = (1 - LEAST_GAIN) * before.evidence_kept_out
    return is_cheap and before.evidence_kept_out > 0 and after.evidence_kept_out <= left
