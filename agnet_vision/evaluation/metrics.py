"""From predictions to scores: accuracy, average precision and confusion; torchmetrics sees every prediction at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_average_precision,
    multiclass_confusion_matrix,
)


class Predictions(NamedTuple):
    """What a model says about a split, in the order of its samples.

    Attributes:
        sample: its number.
        label: the true class.
        probability: of each class; softmax of the logits.
    """

    sample: Int[Tensor, " samples"]
    label: Int[Tensor, " samples"]
    probability: Float[Tensor, "samples classes"]


class PredictionStore(Metric):
    """Collects predictions over batches and processes; each sample counts once, however a sampler filled up its batches."""

    full_state_update = False
    index: list[Tensor]
    label: list[Tensor]
    probability: list[Tensor]

    def __init__(self) -> None:
        # 'cat' gathers the lists of all processes; Lightning calls compute() only at the end of an epoch.
        super().__init__()
        for name in ("index", "label", "probability"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self,
        logits: Float[Tensor, "batch classes"],
        label: Int[Tensor, " batch"],
        index: Int[Tensor, " batch"],
    ) -> None:
        """Add a batch; samples with a negative index are copies that fill it up and are left out."""
        counted = index >= 0
        self.index.append(index[counted])
        self.label.append(label[counted])
        self.probability.append(logits[counted].float().softmax(dim=1))

    def compute(self) -> Predictions:
        """Return all predictions in the order of the samples, on the CPU."""
        index, label, probability = (
            torch.cat(values) if isinstance(values, list) else values
            for values in (self.index, self.label, self.probability)
        )
        order = index.argsort()
        return Predictions(index[order].cpu(), label[order].cpu(), probability[order].cpu())

    def predictions(self) -> Predictions:
        """Return ``compute()``; of a single sample torchmetrics drops the axis of samples, here it is there."""
        index, label, probability = self.compute()
        return Predictions(index.reshape(-1), label.reshape(-1), probability)


def score(predictions: Predictions, classes: tuple[str, ...]) -> dict[str, Any]:
    """Score a split; every number is a fraction in [0, 1], ready for JSON.

    AP is the area under the uninterpolated precision-recall curve of one class against the rest, as scikit-learn defines it.
    Classes without a sample in the split have no AP and no accuracy (None) and take no part in the means.

    Returns:
        ``acc``, ``mean_per_class_acc``, ``mAP``, ``top5``, ``loss`` (cross-entropy), ``num_images``, ``per_class``
        (name -> ``acc``, ``ap``, ``num_images``) and ``confusion_matrix`` (rows: true, columns: predicted).
    """
    _, label, probability = predictions
    confusion = multiclass_confusion_matrix(probability, label, num_classes=len(classes))
    support = confusion.sum(dim=1)
    per_class: dict[str, dict[str, float | int | None]] = {}
    for number, name in enumerate(classes):
        present = int(support[number]) > 0
        per_class[name] = {
            "acc": float(confusion[number, number] / support[number]) if present else None,
            "ap": float(binary_average_precision(probability[:, number], (label == number).long()))
            if present
            else None,
            "num_images": int(support[number]),
        }
    present_rows = [row for row in per_class.values() if row["num_images"]]
    return {
        "acc": float(confusion.trace() / confusion.sum()),
        "mean_per_class_acc": _mean(present_rows, "acc"),
        "mAP": _mean(present_rows, "ap"),
        "top5": float(
            (probability.argsort(dim=1, stable=True)[:, -5:] == label[:, None])
            .any(dim=1)
            .float()
            .mean()
        ),
        "loss": float(-probability.gather(1, label[:, None]).clamp_min(1e-12).log().mean()),
        "num_images": len(label),
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
    }


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)
