"""From all predictions of a split to scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from agnet_vision.evaluation.label_scores import label_estimates, score_labels
from agnet_vision.evaluation.statistics import (
    Estimate,
    average_precision,
    estimates,
    rank_of_true_class,
)
from agnet_vision.task import SINGLE_LABEL, MultiLabel, SingleLabel, Task


class Predictions(NamedTuple):
    """Predictions for a split, in the order of its samples."""

    sample: Int[Tensor, " samples"]  # number of each sample
    label: Int[Tensor, "samples ..."]  # a class's number, or values of the labels
    probability: Float[Tensor, "samples classes"]


class PredictionStore(Metric):
    """A store of predictions over batches and processes, with each sample once.

    Args:
        task: what the labels mean.
    """

    full_state_update = False
    index: list[Tensor]
    label: list[Tensor]
    probability: list[Tensor]

    def __init__(self, task: Task = SINGLE_LABEL) -> None:
        super().__init__()
        self.task = task
        # 'cat' gathers the lists of all processes; Lightning calls compute() only at the end of an
        # epoch.
        for name in ("index", "label", "probability"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self,
        logits: Float[Tensor, "batch classes"],
        label: Int[Tensor, "batch ..."],
        index: Int[Tensor, " batch"],
    ) -> None:
        """Add a batch of images or views; a copy of a sample has an index below 0, and is left out.

        The probabilities of an image's views are averaged.
        """
        counted = index >= 0
        self.index.append(index[counted])
        self.label.append(label[counted])
        self.probability.append(self.task.probabilities(logits[counted]))

    def compute(self) -> Predictions:
        """Return all predictions in sample order, on the CPU."""
        index, label, probability = (
            (torch.cat(values) if isinstance(values, list) else values).cpu()
            for values in (self.index, self.label, self.probability)
        )
        sample, row, views = index.unique(return_inverse=True, return_counts=True)
        total = torch.zeros(len(sample), probability.shape[1], dtype=torch.float64)
        total.index_add_(0, row, probability.double())
        labels = label.new_zeros((len(sample), *label.shape[1:])).index_copy_(0, row, label)
        return Predictions(sample, labels, (total / views[:, None]).float())

    def predictions(self) -> Predictions:
        """Return ``compute()`` with the axes that torchmetrics drops where there is one value."""
        index, label, probability = self.compute()
        index = index.reshape(-1)
        label = self.task.by_image(label, len(index))
        return Predictions(index, label, probability.reshape(len(index), -1))


def score(
    predictions: Predictions, classes: Sequence[str], task: Task = SINGLE_LABEL
) -> dict[str, Any]:
    """Score a split by its task, with ``score_classes`` or ``score_labels``."""
    label, probability = predictions.label.numpy(), predictions.probability.numpy()
    return scores_of(task, label, probability, classes)


@singledispatch
def scores_of(task: Task, label: Any, probability: Any, classes: Sequence[str]) -> dict[str, Any]:
    """Compute the scores of a task."""
    raise NotImplementedError


@singledispatch
def estimates_of(task: Task, label: Any, probability: Any) -> dict[str, Estimate]:
    """Compute the scores of a task that have an interval."""
    raise NotImplementedError


@singledispatch
def strata_of(task: Task, label: Any) -> Int[np.ndarray, " images"]:
    """Part the images into those of a kind, as ``interval`` needs it."""
    raise NotImplementedError


scores_of.register(MultiLabel, score_labels)
estimates_of.register(MultiLabel, label_estimates)
strata_of.register(MultiLabel, lambda task, label: np.zeros(len(label), dtype=int))
estimates_of.register(SingleLabel, lambda task, label, probability: estimates(label, probability))
strata_of.register(SingleLabel, lambda task, label: label)


@scores_of.register(SingleLabel)
def score_classes(
    task: Task,
    label: Int[np.ndarray, " images"],
    probability: Float[np.ndarray, "images classes"],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Score a split, in fractions that are ready for JSON, as scikit-learn does.

    AP is the area under the uninterpolated precision-recall curve of one class against the rest.
    Classes without an image in the split have no AP and no accuracy (None) and take no part in the
    means. Probabilities are taken as they are, whatever they sum to.

    Returns:
        ``acc``, ``mean_per_class_acc``, ``mAP``, ``top5``, ``loss`` (cross-entropy),
        ``num_images``, ``per_class`` (name -> ``acc``, ``ap``, ``num_images``) and
        ``confusion_matrix`` (rows: true, columns: predicted).
    """
    probability = probability.astype(float)
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (label, probability.argmax(axis=1)), 1)
    support = confusion.sum(axis=1)
    present = [k for k in range(len(classes)) if support[k]]

    recall = {k: float(confusion[k, k] / support[k]) for k in present}
    ap = {k: average_precision(label == k, probability[:, k]).value for k in present}
    true = np.take_along_axis(probability, label[:, None], axis=1)
    return {
        "acc": int(confusion.trace()) / len(label),
        "mean_per_class_acc": float(np.mean(list(recall.values()))),
        "mAP": float(np.mean(list(ap.values()))),
        "top5": float((rank_of_true_class(label, probability) < 5).mean()),
        "loss": float(-np.log(true.clip(np.finfo(float).eps)).mean()),
        "num_images": len(label),
        "per_class": {
            name: {"acc": recall.get(k), "ap": ap.get(k), "num_images": int(support[k])}
            for k, name in enumerate(classes)
        },
        "confusion_matrix": confusion.tolist(),
    }
