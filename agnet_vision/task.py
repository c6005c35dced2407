"""What the labels of an image mean: one class of several, or any number of labels.

A task knows what follows from that: how labels are written, loss, activation, decision and the
names of the scores. Nobody else asks which task it is; functions of the rooms above that differ by
task are registered for its type.

The label of an image is a class's number, or (``MultiLabel``) a tuple with ``PRESENT``, ``ABSENT``
or ``UNKNOWN`` for each of the labels; what is unknown takes no part in loss and scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor, nn

from agnet_vision.errors import ConfigError

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
SEPARATOR = "|"  # between labels, in the tables that are written
UNKNOWN_MARK = "?"  # before a label that may be there or not
WEIGHT_BOUNDS = (0.1, 10.0)  # of positive weights, ours: rarer labels would shake the training
HALF = 0.5  # threshold of a label that none was fitted for

Label = Any  # a number, or a tuple of values


class Task(ABC):
    """What the labels of an image mean.

    Attributes:
        name: name in configurations.
        column: column of tables that holds the true labels.
        headline: scores that are printed, the first of which chooses the best epoch.
        logged: all scores of validation.
        min_classes: least number of classes that there is something to learn from.
        stratifies: whether held-out parts are balanced over all labels of an image at once.
        is_exclusive: whether the probabilities of an image are shares of one.
    """

    name: ClassVar[str]
    column: ClassVar[str]
    headline: ClassVar[tuple[str, ...]]
    logged: ClassVar[tuple[str, ...]]
    min_classes: ClassVar[int]
    stratifies: ClassVar[bool]
    is_exclusive: ClassVar[bool]

    def settings(self) -> dict[str, Any]:
        """Return what ``task_from`` makes the task of, as plain data."""
        return {"name": self.name}

    @abstractmethod
    def numbers(self, label: Label) -> tuple[int, ...]:
        """List the classes that an image shows."""

    @abstractmethod
    def text(self, label: Label, classes: Sequence[str]) -> str:
        """Write a label."""

    @abstractmethod
    def names(self, text: str, separator: str = SEPARATOR) -> tuple[str, ...]:
        """Part a written label into the names in it."""

    @abstractmethod
    def label(self, names: Sequence[str], numbers: Mapping[str, int]) -> Label:
        """Make a label of names; a ``KeyError`` tells the first that is no class."""

    @abstractmethod
    def by_image(self, label: Tensor, images: int) -> Tensor:
        """Give labels the shape that they have for so many images."""

    @abstractmethod
    def class_weights(self, labels: Sequence[Label], classes: int) -> list[float]:
        """Weigh classes so that the rare count as much as the frequent."""

    @abstractmethod
    def loss(
        self, *, name: str, label_smoothing: float, class_weights: Sequence[float] | None
    ) -> nn.Module:
        """Make the loss of logits and labels."""

    @abstractmethod
    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Tensor:
        """Turn logits into probabilities."""

    @abstractmethod
    def decide(
        self, probability: Float[np.ndarray, "images classes"]
    ) -> Bool[np.ndarray, "images classes"]:
        """Say which classes each image is given."""

    @abstractmethod
    def claims(
        self, label: Any, probability: Float[np.ndarray, "images classes"]
    ) -> tuple[Float[np.ndarray, " claims"], Bool[np.ndarray, " claims"]]:
        """Pair the probability of everything that is said of images with whether it is true."""

    def decided(
        self, probability: Float[np.ndarray, " classes"], classes: Sequence[str]
    ) -> list[str]:
        """Name the classes that an image is given, the most probable first."""
        given = self.decide(probability[None])[0]
        order = np.argsort(-probability, kind="stable")
        return [classes[k] for k in order if given[k]]

    def check(self, *, sampler: str, calibration: str, monitor: str | None, loss: str) -> None:
        """Refuse options of a training that the task has no meaning for.

        Raises:
            ConfigError: names the option and what can be done.
        """
        if monitor is not None and monitor not in self.logged:
            raise ConfigError(f"monitor must be one of {', '.join(self.logged)}, got {monitor!r}")

    def require_single(self, what: str) -> None:
        """Refuse what is made for one label per image.

        Raises:
            ConfigError: images may have several.
        """
        if not self.is_exclusive:
            raise ConfigError(f"{what} needs one label per image; these images may have several")


class SingleLabel(Task):
    """Each image shows one of the classes."""

    name = "single_label"
    column = "label"
    headline = ("acc", "mean_per_class_acc", "mAP", "top5")
    logged = (*headline, "loss")
    min_classes = 2
    stratifies = False
    is_exclusive = True

    def numbers(self, label: Label) -> tuple[int, ...]:
        """List the one class that an image shows."""
        return (label,)

    def text(self, label: Label, classes: Sequence[str]) -> str:
        """Write the class's name."""
        return classes[label]

    def names(self, text: str, separator: str = SEPARATOR) -> tuple[str, ...]:
        """Take the text for the class's name."""
        return (text,)

    def label(self, names: Sequence[str], numbers: Mapping[str, int]) -> Label:
        """Return the class's number."""
        (name,) = names
        return numbers[name]

    def by_image(self, label: Tensor, images: int) -> Tensor:
        """Return one number per image."""
        return label.reshape(images)

    def class_weights(self, labels: Sequence[Label], classes: int) -> list[float]:
        """Weigh classes inversely to their number of images."""
        counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=classes).tolist()
        return [sum(counts) / (len(counts) * max(count, 1)) for count in counts]

    def loss(
        self, *, name: str, label_smoothing: float, class_weights: Sequence[float] | None
    ) -> nn.Module:
        """Make the cross-entropy."""
        loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        _weigh(loss, "weight", class_weights)
        return loss

    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Tensor:
        """Apply the softmax."""
        return logits.float().softmax(dim=1)

    def decide(
        self, probability: Float[np.ndarray, "images classes"]
    ) -> Bool[np.ndarray, "images classes"]:
        """Give each image its most probable class."""
        return np.arange(probability.shape[1]) == probability.argmax(axis=1)[:, None]

    def claims(
        self, label: Any, probability: Float[np.ndarray, "images classes"]
    ) -> tuple[Float[np.ndarray, " claims"], Bool[np.ndarray, " claims"]]:
        """Take the most probable class of each image."""
        return probability.max(axis=1), probability.argmax(axis=1) == label

    def check(self, *, sampler: str, calibration: str, monitor: str | None, loss: str) -> None:
        """Refuse the loss of several labels."""
        super().check(sampler=sampler, calibration=calibration, monitor=monitor, loss=loss)
        if loss != "cross_entropy":
            raise ConfigError(
                f"loss.name must be cross_entropy where an image has one label, got {loss!r}"
            )


@dataclass(frozen=True)
class MultiLabel(Task):
    """Each image shows any number of the labels, or none.

    Attributes:
        thresholds: probability from which on each label is given; empty: one half for all.
    """

    thresholds: tuple[float, ...] = field(default=())

    name = "multi_label"
    column = "labels"
    headline = ("mAP", "micro_mAP", "macro_F1", "micro_F1", "exact_match")
    logged = (*headline, "ranking_loss", "loss")
    min_classes = 1
    stratifies = True
    is_exclusive = False

    def settings(self) -> dict[str, Any]:
        """Return name and thresholds."""
        return {"name": self.name, "thresholds": list(self.thresholds)}

    def numbers(self, label: Label) -> tuple[int, ...]:
        """List the labels that are present."""
        return tuple(k for k, value in enumerate(label) if value == PRESENT)

    def text(self, label: Label, classes: Sequence[str]) -> str:
        """Write the labels that are present, and with a mark those that are unknown."""
        marks = {PRESENT: "", UNKNOWN: UNKNOWN_MARK}
        pairs = zip(label, classes, strict=True)
        return SEPARATOR.join(f"{marks[value]}{name}" for value, name in pairs if value in marks)

    def names(self, text: str, separator: str = SEPARATOR) -> tuple[str, ...]:
        """Part the text at its separators; an empty one has no names."""
        return tuple(name.strip() for name in text.split(separator)) if text.strip() else ()

    def label(self, names: Sequence[str], numbers: Mapping[str, int]) -> Label:
        """Tell for each label whether it is among the names, with a mark where it is unknown."""
        values = [ABSENT] * len(numbers)
        for name in names:
            bare = name.removeprefix(UNKNOWN_MARK)
            values[numbers[bare]] = PRESENT if bare == name else UNKNOWN
        return tuple(values)

    def by_image(self, label: Tensor, images: int) -> Tensor:
        """Return a row per image."""
        return label.reshape(images, -1)

    def class_weights(self, labels: Sequence[Label], classes: int) -> list[float]:
        """Weigh what is present by how often it is absent, within bounds."""
        values = np.array(list(labels)).reshape(-1, classes)
        present, absent = ((values == each).sum(axis=0) for each in (PRESENT, ABSENT))
        return (absent / np.maximum(present, 1)).clip(*WEIGHT_BOUNDS).tolist()

    def loss(
        self, *, name: str, label_smoothing: float, class_weights: Sequence[float] | None
    ) -> nn.Module:
        """Make the binary cross-entropy, or the asymmetric loss (Ridnik et al., 2021)."""
        each: nn.Module = nn.BCEWithLogitsLoss(reduction="none")
        if name == "asymmetric":
            each = AsymmetricLossMultiLabel(reduction="none")
        _weigh(each, "pos_weight", class_weights)
        return KnownLabels(each, label_smoothing)

    def probabilities(self, logits: Float[Tensor, "batch classes"]) -> Tensor:
        """Apply the sigmoid."""
        return logits.float().sigmoid()

    def decide(
        self, probability: Float[np.ndarray, "images classes"]
    ) -> Bool[np.ndarray, "images classes"]:
        """Give each image the labels that reach their thresholds."""
        # In the probabilities' own precision: a threshold has to reach the image it was taken from.
        return probability >= np.asarray(self.thresholds or HALF, dtype=probability.dtype)

    def claims(
        self, label: Any, probability: Float[np.ndarray, "images classes"]
    ) -> tuple[Float[np.ndarray, " claims"], Bool[np.ndarray, " claims"]]:
        """Take every label that is known of an image."""
        known = label != UNKNOWN
        return probability[known], label[known] == PRESENT

    def check(self, *, sampler: str, calibration: str, monitor: str | None, loss: str) -> None:
        """Refuse what is made for one class per image."""
        super().check(sampler=sampler, calibration=calibration, monitor=monitor, loss=loss)
        if sampler == "balanced":
            raise ConfigError(
                "sampler=balanced needs one label per image; take loss.class_weights=balanced"
            )
        if calibration != "none":
            raise ConfigError(
                f"calibration={calibration} needs one label per image; take calibration=none "
                "(thresholds are fitted in any case)"
            )


class KnownLabels(nn.Module):
    """The mean of a binary loss over the labels that are known.

    Args:
        each: loss of every label, not reduced.
        label_smoothing: how far targets are moved, from 0 and 1 towards one half.
    """

    def __init__(self, each: nn.Module, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.each = each
        self.label_smoothing = label_smoothing

    def forward(
        self, logits: Float[Tensor, "batch labels"], label: Int[Tensor, "batch labels"]
    ) -> Float[Tensor, ""]:
        """Return the mean; 0 where nothing is known."""
        known = label != UNKNOWN
        target = label.clamp_min(0).to(logits.dtype)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        return (self.each(logits, target) * known).sum() / known.sum().clamp_min(1)


SINGLE_LABEL = SingleLabel()
# Column of the true labels, in tables -> the task without what is fitted.
BY_COLUMN: dict[str, Task] = {task.column: task for task in (SINGLE_LABEL, MultiLabel())}


def task_from(settings: Mapping[str, Any], classes: int) -> Task:
    """Make a task of its settings; of none, as old files have them, that of single labels.

    Raises:
        ValueError: there is no such task, or its thresholds are no probabilities.
    """
    name = settings.get("name", SINGLE_LABEL.name)
    if name == SINGLE_LABEL.name:
        return SINGLE_LABEL
    thresholds = settings.get("thresholds", [])
    is_list = isinstance(thresholds, list | tuple) and len(thresholds) in (0, classes)
    fits = is_list and all(isinstance(each, float) and 0 <= each <= 1 for each in thresholds)
    if name != MultiLabel.name or not fits:
        raise ValueError(
            f"task must be {SINGLE_LABEL.name}, or {MultiLabel.name} with {classes} thresholds "
            f"in [0, 1] or none, got {name!r:.40}"
        )
    return MultiLabel(tuple(thresholds))


def _weigh(loss: nn.Module, buffer: str, weights: Sequence[float] | None) -> None:
    """Give a loss its weights, not in checkpoints: a run may go on with other weights."""
    weight = torch.tensor(weights) if weights is not None else None
    loss.register_buffer(buffer, weight, persistent=False)
