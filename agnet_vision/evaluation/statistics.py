"""How sure the numbers are: bootstrap intervals, paired differences, calibration. Free functions on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import binomtest

METRICS = ("acc", "mean_per_class_acc", "mAP", "top5")
WORK = 4e10  # resamples x pictures^2 that take some seconds
CHUNK = 1024  # positives at a time, which bounds the memory


class Interval(NamedTuple):
    """A number and its 95 % percentile interval."""

    value: float
    low: float
    high: float


def resample_counts(num_pictures: int, *, seed: int = 0) -> Int[np.ndarray, "resamples pictures"]:
    """Draw how often each picture comes in each bootstrap resample; the first row is the original, once each.

    1,000 resamples, fewer for large sets (200 at least), so that a report takes seconds.
    """
    resamples = int(np.clip(WORK / num_pictures**2, 200, 1000))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(num_pictures, np.full(num_pictures, 1 / num_pictures), size=resamples)
    return np.concatenate([np.ones((1, num_pictures), drawn.dtype), drawn])


def metric_samples(
    label: Int[np.ndarray, " pictures"],
    probability: Float[np.ndarray, "pictures classes"],
    counts: Int[np.ndarray, "resamples pictures"],
) -> dict[str, Float[np.ndarray, " resamples"]]:
    """Compute ``METRICS`` on each resample; classes that are absent from one take no part in its means."""
    weights = counts.astype(np.float32)
    best = probability.argmax(axis=1)
    own = np.take_along_axis(probability, label[:, None], axis=1)
    later = (
        np.arange(probability.shape[1]) > label[:, None]
    )  # ties as in the run's own scores: the last class wins
    rank = ((probability > own) | ((probability == own) & later)).sum(axis=1)
    per_class, ap = [], []
    for k in np.unique(label):
        of_class = weights[:, label == k]
        with np.errstate(invalid="ignore"):
            per_class.append(
                of_class @ (best[label == k] == k).astype(np.float32) / of_class.sum(axis=1)
            )
        ap.append(weighted_average_precision(label == k, probability[:, k], weights))
    total = weights.sum(axis=1)
    return {
        "acc": weights @ (best == label).astype(np.float32) / total,
        "mean_per_class_acc": np.nanmean(per_class, axis=0),
        "mAP": np.nanmean(ap, axis=0),
        "top5": weights @ (rank < 5).astype(np.float32) / total,
    }


def weighted_average_precision(
    positive: Bool[np.ndarray, " pictures"],
    score: Float[np.ndarray, " pictures"],
    weights: Float[np.ndarray, "resamples pictures"],
) -> Float[np.ndarray, " resamples"]:
    """Compute the area under the uninterpolated precision-recall curve for each row of weights, as scikit-learn defines it.

    NaN where a row has no positive.
    """
    found, total = np.zeros(len(weights)), weights[:, positive].sum(axis=1)
    # Each positive's precision is a product with the pictures that score as high: BLAS does it, ties are right by themselves.
    for chosen in np.array_split(np.flatnonzero(positive), max(1, positive.sum() // CHUNK)):
        at_least = (score[:, None] >= score[chosen]).astype(np.float32)  # (pictures, positives)
        seen, hits = weights @ at_least, weights[:, positive] @ at_least[positive]
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        found += (weights[:, chosen] * precision).sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return found / total


def interval(samples: Float[np.ndarray, " resamples"]) -> Interval:
    """Take the original (first) value and the middle 95 % of the others."""
    low, high = np.quantile(samples[1:], [0.025, 0.975])
    return Interval(float(samples[0]), float(low), float(high))


class PairedTest(NamedTuple):
    """McNemar's exact test on two classifiers of the same pictures."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(
    first: Bool[np.ndarray, " pictures"], second: Bool[np.ndarray, " pictures"]
) -> PairedTest:
    """Test whether two classifiers are right equally often, from the pictures where only one of them is."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p_value = binomtest(only_first, discordant).pvalue if discordant else 1.0
    return PairedTest(only_first, only_second, float(p_value))


class Calibration(NamedTuple):
    """Confidence against accuracy in bins of equally many pictures, and their mean distance (ECE)."""

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    error: float


def calibration(
    confidence: Float[np.ndarray, " pictures"],
    correct: Bool[np.ndarray, " pictures"],
    *,
    bins: int = 15,
) -> Calibration:
    """Compare how sure the network is with how often it is right."""
    groups = [g for g in np.array_split(np.argsort(confidence, kind="stable"), bins) if len(g)]
    sure = np.array([confidence[g].mean() for g in groups])
    right = np.array([correct[g].mean() for g in groups])
    size = np.array([len(g) for g in groups])
    return Calibration(sure, right, float((np.abs(sure - right) * size).sum() / size.sum()))
