"""From all predictions of a split to scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from agnet_vision.evaluation.statistics import average_precision, rank_of_true_class


class Predictions(NamedTuple):
    """Predictions for a split, in the order of its samples."""

    sample: Int[Tensor, " samples"]  # number of each sample
    label: Int[Tensor, " samples"]
    probability: Float[Tensor, "samples classes"]


class PredictionStore(Metric):
    """A store of predictions over batches and processes, with each sample once."""

    full_state_update = False
    index: list[Tensor]
    label: list[Tensor]
    probability: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        # 'cat' gathers the lists of all processes; Lightning calls compute() only at the end of an
        # epoch.
        for name in ("index", "label", "probability"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self,
        logits: Float[Tensor, "batch classes"],
        label: Int[Tensor, " batch"],
        index: Int[Tensor, " batch"],
    ) -> None:
        """Add a batch of images or views; a copy of a sample has an index below 0, and is left out.

        The probabilities of an image's views are averaged.
        """
        counted = index >= 0
        self.index.append(index[counted])
        self.label.append(label[counted])
        self.probability.append(logits[counted].float().softmax(dim=1))

    def compute(self) -> Predictions:
        """Return all predictions in sample order, on the CPU."""
        index, label, probability = (
            (torch.cat(values) if isinstance(values, list) else values).cpu()
            for values in (self.index, self.label, self.probability)
        )
        sample, row, views = index.unique(return_inverse=True, return_counts=True)
        total = torch.zeros(len(sample), probability.shape[1], dtype=torch.float64)
        total.index_add_(0, row, probability.double())
        labels = label.new_zeros(len(sample)).index_copy_(0, row, label)
        return Predictions(sample, labels, (total / views[:, None]).float())

    def predictions(self) -> Predictions:
        """Return ``compute()`` with the axis that torchmetrics drops where there is one sample."""
        index, label, probability = self.compute()
        return Predictions(index.reshape(-1), label.reshape(-1), probability)


def score(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    """Score a split, in fractions that are ready for JSON, as scikit-learn does.

    AP is the area under the uninterpolated precision-recall curve of one class against the rest.
    Classes without an image in the split have no AP and no accuracy (None) and take no part in the
    means. Probabilities are taken as they are, whatever they sum to.

    Returns:
        ``acc``, ``mean_per_class_acc``, ``mAP``, ``top5``, ``loss`` (cross-entropy),
        ``num_images``, ``per_class`` (name -> ``acc``, ``ap``, ``num_images``) and
        ``confusion_matrix`` (rows: true, columns: predicted).
    """
    label, probability = predictions.label.numpy(), predictions.probability.double().numpy()
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
