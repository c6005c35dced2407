"""From all predictions of a split to scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_average_precision,
    multiclass_confusion_matrix,
)


class Predictions(NamedTuple):
    """Predictions for a split, in the order of its samples.

    Attributes:
        sample: number of each sample.
        label: true class of each sample.
        probability: probability of each class, the softmax of the logits.
    """

    sample: Int[Tensor, " samples"]
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
        """Add a batch, leaving copies of samples out.

        Args:
            logits: logits of each image or view; the probabilities of an image's views are
                averaged.
            label: true class.
            index: number of the sample; below 0 for a copy.
        """
        counted = index >= 0
        self.index.append(index[counted])
        self.label.append(label[counted])
        self.probability.append(logits[counted].float().softmax(dim=1))

    def compute(self) -> Predictions:
        """Return all predictions in sample order, on the CPU."""
        index, label, probability = (
            torch.cat(values) if isinstance(values, list) else values
            for values in (self.index, self.label, self.probability)
        )
        sample, row, views = index.unique(return_inverse=True, return_counts=True)
        mean = probability.new_zeros(len(sample), probability.shape[1])
        mean.index_add_(0, row, probability / views[row, None])
        labels = label.new_zeros(len(sample)).index_copy_(0, row, label)
        return Predictions(sample.cpu(), labels.cpu(), mean.cpu())

    def predictions(self) -> Predictions:
        """Return ``compute()`` with the axis that torchmetrics drops where there is one sample."""
        index, label, probability = self.compute()
        return Predictions(index.reshape(-1), label.reshape(-1), probability)


def score(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    """Score a split, in fractions that are ready for JSON.

    AP is the area under the uninterpolated
    precision-recall curve of one class against the rest, as scikit-learn defines it. Classes
    without an image in the split have no AP and no accuracy (None) and take no part in the means.

    Args:
        predictions: predictions for all of the split.
        classes: names of the classes in label order.

    Returns:
        ``acc``, ``mean_per_class_acc``, ``mAP``, ``top5``, ``loss`` (cross-entropy),
        ``num_images``, ``per_class`` (name -> ``acc``, ``ap``, ``num_images``) and
        ``confusion_matrix`` (rows: true, columns: predicted).
    """
    _, label, probability = predictions
    count = len(classes)

    confusion = multiclass_confusion_matrix(probability, label, num_classes=count)
    support = confusion.sum(dim=1)
    present = support > 0
    recall = confusion.diagonal().double() / support
    ap = multiclass_average_precision(probability, label, num_classes=count, average="none")
    top5 = multiclass_accuracy(
        probability, label, num_classes=count, top_k=min(5, count), average="micro"
    )
    true = probability.gather(1, label[:, None])
    return {
        "acc": int(confusion.trace()) / len(label),
        "mean_per_class_acc": float(recall[present].mean()),
        "mAP": float(ap[present].mean()),
        "top5": float(top5),
        "loss": float(-true.clamp_min(1e-12).log().mean()),
        "num_images": len(label),
        "per_class": {
            name: {
                "acc": float(recall[number]) if present[number] else None,
                "ap": float(ap[number]) if present[number] else None,
                "num_images": int(support[number]),
            }
            for number, name in enumerate(classes)
        },
        "confusion_matrix": confusion.tolist(),
    }
