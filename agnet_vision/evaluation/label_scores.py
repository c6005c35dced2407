"""Scores of several labels per image, and thresholds that make decisions of probabilities.

What is unknown of an image takes no part. Labels that no image is known to have are left out of the
means, and named.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import label_ranking_loss, precision_recall_curve

from agnet_vision.evaluation.statistics import Estimate, average_precision
from agnet_vision.task import HALF, PRESENT, UNKNOWN, MultiLabel

# Ours: a threshold is fitted to so many images with the label, and so many without, at least.
MIN_EXAMPLES = 10

Labels = Int[np.ndarray, "images labels"]
Probabilities = Float[np.ndarray, "images labels"]


class ThresholdWarning(UserWarning):
    """A label whose threshold could not be fitted, and stays one half."""


def score_labels(
    task: MultiLabel, label: Labels, probability: Probabilities, classes: Sequence[str]
) -> dict[str, Any]:
    """Score a split, in fractions that are ready for JSON, as scikit-learn does.

    Returns:
        ``mAP`` (mean over labels), ``micro_mAP`` (all labels in one list),
        ``absent_mAP`` (of the images without each label, least probable first), ``macro_F1``,
        ``micro_F1`` and ``exact_match`` at the task's thresholds, ``ranking_loss``, ``loss``
        (binary cross-entropy), ``num_images``, ``without_positives`` (names), ``per_class`` (name
        -> ``ap``, ``precision``, ``recall``, ``f1``, ``threshold``, ``num_images``), ``together``
        and ``predicted_together`` (images with both of two labels) and ``task``.
    """
    known, present = label != UNKNOWN, label == PRESENT
    given = task.decide(probability)
    hits, false_alarms, misses = (part.sum(axis=0) for part in _outcomes(present, known, given))
    counts = present.sum(axis=0)
    scored = np.flatnonzero(counts).tolist()
    found = label_estimates(task, label, probability)
    ap = {k: _precision_of(label, probability, k).value for k in scored}

    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(hits / (hits + false_alarms))
        recall = np.nan_to_num(hits / counts)
    f1 = _f1(hits, false_alarms, misses)
    thresholds = task.thresholds or (HALF,) * len(classes)
    absent = np.where(known, 1 - label, UNKNOWN)
    absent_ap = [
        _precision_of(absent, -probability, k).value
        for k in np.flatnonzero((absent == PRESENT).any(axis=0)).tolist()
    ]
    chance = np.where(present, probability, 1 - probability).astype(float)
    return {
        **{name: estimate.value for name, estimate in found.items()},
        "micro_mAP": average_precision(present[known], probability[known]).value if ap else 0.0,
        "absent_mAP": float(np.mean(absent_ap)) if absent_ap else 0.0,
        "ranking_loss": _ranking_loss(present, known, probability),
        "loss": float(-np.log(chance[known].clip(np.finfo(float).eps)).mean()),
        "num_images": len(label),
        "without_positives": [name for k, name in enumerate(classes) if not counts[k]],
        "per_class": {
            name: {
                "ap": ap.get(k),
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": float(f1[k]),
                "threshold": thresholds[k],
                "num_images": int(counts[k]),
            }
            for k, name in enumerate(classes)
        },
        "together": (present.T.astype(int) @ present).tolist(),
        "predicted_together": (given.T.astype(int) @ given).tolist(),
        "task": task.settings(),
    }


def label_estimates(
    task: MultiLabel, label: Labels, probability: Probabilities
) -> dict[str, Estimate]:
    """Compute the scores that have an interval, and what they would be without each image."""
    known, present = label != UNKNOWN, label == PRESENT
    given = task.decide(probability)
    scored = np.flatnonzero(present.any(axis=0)).tolist()
    if not scored:
        nothing = Estimate(0.0, np.zeros(len(label)))
        return dict.fromkeys(("mAP", "macro_F1", "micro_F1", "exact_match"), nothing)

    precision = [_precision_of(label, probability, k) for k in scored]
    means = (np.mean(parts, axis=0) for parts in zip(*precision, strict=True))
    outcomes = _outcomes(present, known, given)
    totals = [part.sum(axis=0, keepdims=True) for part in outcomes]
    rest = [total - part for total, part in zip(totals, outcomes, strict=True)]
    return {
        "mAP": Estimate(*means),
        "macro_F1": _both(_f1(*totals)[:, scored].mean(axis=1), _f1(*rest)[:, scored].mean(axis=1)),
        "micro_F1": _both(
            _f1(*(part.sum(axis=1) for part in totals)), _f1(*(part.sum(axis=1) for part in rest))
        ),
        "exact_match": _mean((given == present).all(axis=1, where=known)),
    }


def fit_thresholds(
    label: Labels, probability: Probabilities, classes: Sequence[str]
) -> tuple[float, ...]:
    """Choose the threshold of each label with the highest F1.

    It lies between two images. Where there are fewer than ``MIN_EXAMPLES`` with the label or
    without it, or where the best is to give it to all, the threshold stays one half, and a
    ``ThresholdWarning`` names the labels.
    """
    thresholds, few, always = [], [], []
    for k, name in enumerate(classes):
        known = label[:, k] != UNKNOWN
        present, score = label[known, k] == PRESENT, probability[known, k]
        best = HALF
        if min(present.sum(), (~present).sum()) < MIN_EXAMPLES:
            few.append(name)
        else:
            precision, recall, reached = precision_recall_curve(present, score)
            place = int(_f1_of(precision, recall)[:-1].argmax())
            if place:
                best = float(np.float32((reached[place - 1] + reached[place]) / 2))
            else:
                always.append(name)
        thresholds.append(best)

    reasons = {f"fewer than {MIN_EXAMPLES} images with or without": few, "it fits all": always}
    text = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items() if names)
    if text:
        warnings.warn(
            f"the thresholds of these labels stay {HALF}: {text}", ThresholdWarning, stacklevel=2
        )
    return tuple(thresholds)


def _precision_of(label: Labels, probability: Probabilities, k: int) -> Estimate:
    """Compute the average precision of one label; images of which it is unknown change nothing."""
    known = label[:, k] != UNKNOWN
    found = average_precision(label[known, k] == PRESENT, probability[known, k])
    without = np.full(len(label), found.value)
    without[known] = found.without
    return Estimate(found.value, without)


def _outcomes(
    present: Bool[np.ndarray, "images labels"],
    known: Bool[np.ndarray, "images labels"],
    given: Bool[np.ndarray, "images labels"],
) -> tuple[Labels, Labels, Labels]:
    """Tell where labels are hits, false alarms and misses, as zeros and ones."""
    parts = (present & given, known & ~present & given, present & ~given)
    hits, false_alarms, misses = (part.astype(int) for part in parts)
    return hits, false_alarms, misses


def _f1(hits: np.ndarray, false_alarms: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """Compute F1, 0 where there is nothing to find and nothing found."""
    return 2 * hits / np.maximum(2 * hits + false_alarms + misses, 1)


def _f1_of(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    return 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)


def _both(value: np.ndarray, without: np.ndarray) -> Estimate:
    return Estimate(float(value[0]), without)


def _mean(correct: Bool[np.ndarray, " images"]) -> Estimate:
    rest = np.maximum(len(correct) - 1, 1)
    return Estimate(float(correct.mean()), (correct.sum() - correct) / rest)


def _ranking_loss(
    present: Bool[np.ndarray, "images labels"],
    known: Bool[np.ndarray, "images labels"],
    probability: Probabilities,
) -> float:
    """Average the share of pairs of a present and an absent label in the wrong order."""
    patterns, pattern = np.unique(known, axis=0, return_inverse=True)
    total = 0.0
    for number, columns in enumerate(patterns):
        rows = np.flatnonzero(pattern.reshape(-1) == number)
        if columns.sum() > 1:  # of one label there are no pairs
            part = np.ix_(rows, columns)
            total += len(rows) * float(label_ranking_loss(present[part], probability[part]))
    return total / len(present)
