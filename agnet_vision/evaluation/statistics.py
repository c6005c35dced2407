"""How sure the numbers are: intervals of scores, and paired differences of runs.

Intervals come from the delete-one jackknife, class by class: a score is computed again without each
image in turn. The usual bootstrap draws images more than once, and a copied image is ranked beside
itself, so that average precision comes out too high: with 40 classes of 10 images its interval
missed the true value nearly always. What the intervals here cover is the score to be expected on
other test sets of this size with as many images a class; a test measures how often they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit
from scipy.stats import binomtest
from scipy.stats import t as student

LEVEL = 0.95


class Interval(NamedTuple):
    """A number and its 95 % interval, whose ends are NaN where the data cannot tell."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Tell whether there is an interval."""
        return self.low <= self.high

    @property
    def verdict(self) -> str:
        """Tell of a difference whether its interval leaves out zero."""
        if not self.is_known:
            return "chance unknown, for a class has a single image"
        return "within chance" if self.low <= 0 <= self.high else "more than chance"

    def plain(self) -> dict[str, float | None]:
        """Return the numbers for JSON, which knows no NaN."""
        return {name: None if np.isnan(end) else end for name, end in self._asdict().items()}


class Estimate(NamedTuple):
    """A score, and what it would be without each image.

    Attributes:
        value: score on all images.
        without: score on all images but one, for each of them, where the others of its class count
            for it as well; NaN where that class would be left empty, if the score is by class.
    """

    value: float
    without: Float[np.ndarray, " images"]


def estimates(
    label: Int[np.ndarray, " images"], probability: Float[np.ndarray, "images classes"]
) -> dict[str, Estimate]:
    """Compute the scores of ``metrics.score``, over the classes that have images."""
    best = probability.argmax(axis=1)
    present = np.unique(label)
    precision = [average_precision(label == k, probability[:, k]) for k in present]
    means = (np.mean(parts, axis=0) for parts in zip(*precision, strict=True))
    return {
        "acc": _mean(best == label, label, over_classes=False),
        "mean_per_class_acc": _mean(best == label, label, over_classes=True),
        "mAP": Estimate(*means),
        "top5": _mean(rank_of_true_class(label, probability) < 5, label, over_classes=False),
    }


def rank_of_true_class(
    label: Int[np.ndarray, " images"], probability: Float[np.ndarray, "images classes"]
) -> Int[np.ndarray, " images"]:
    """Count the classes that come before the true one; of equals the later, as in scikit-learn."""
    own = np.take_along_axis(probability, label[:, None], axis=1)
    later = np.arange(probability.shape[1]) > label[:, None]
    return ((probability > own) | (later & (probability == own))).sum(axis=1)


def average_precision(
    positive: Bool[np.ndarray, " images"], score: Float[np.ndarray, " images"]
) -> Estimate:
    """Compute the area under the uninterpolated precision-recall curve, as scikit-learn defines it.

    AP is the mean over the positives of ``hits / seen``, both counted down to the positive's own
    score. An image left out takes one from ``seen`` of every positive that scores no higher, and if
    it is a positive, one from ``hits``. So sums from the top serve all images at once.
    """
    chosen = np.sort(score[positive])[::-1]
    count = len(chosen)
    hits = count - np.searchsorted(chosen[::-1], chosen, side="left")
    seen = len(score) - np.searchsorted(np.sort(score), chosen, side="left")
    fewer = np.maximum(seen - 1, 1)  # a positive that is seen alone is below no other image

    kept = _sums(hits / seen)
    lowered = _sums(hits / fewer)
    lost = _sums(1 / fewer)
    above = count - np.searchsorted(chosen[::-1], score, side="right")  # positives that score more
    total = kept[above] + lowered[-1] - lowered[above]

    # A positive takes itself away as well: its own term, and one hit of those below.
    place = np.searchsorted(-chosen, -score[positive], side="left")
    own = np.where(seen[place] > 1, (hits[place] - 1) / fewer[place], 0)
    total[positive] -= (lost[-1] - lost[above])[positive] + own

    left = count - positive
    with np.errstate(invalid="ignore", divide="ignore"):
        return Estimate(float(kept[-1] / count), np.where(left > 0, total / left, np.nan))


def interval(estimate: Estimate, label: Int[np.ndarray, " images"]) -> Interval:
    """Put the 95 % interval around a score.

    It is computed on the logit scale so that it stays in [0, 1]. Where no image makes a difference
    (all are right), it is Wilson's for as many images. Scores by class have no interval where a
    class has a single image: nothing tells how such a class varies.
    """
    value = estimate.value
    variance, freedom = _variance(estimate.without, label)
    if np.isnan(variance):
        return Interval(value, np.nan, np.nan)
    if variance == 0 or not 0 < value < 1:
        count = len(label)
        wilson = binomtest(round(value * count), count).proportion_ci(LEVEL, method="wilson")
        return Interval(value, float(wilson.low), float(wilson.high))
    half = _quantile(freedom) * np.sqrt(variance) / (value * (1 - value))
    low, high = expit(logit(value) + half * np.array([-1, 1]))
    return Interval(value, float(low), float(high))


def paired_difference(
    first: Sequence[Estimate], second: Sequence[Estimate], label: Int[np.ndarray, " images"]
) -> Interval:
    """Put an interval around the mean difference of two kinds of run.

    Runs of the same seed stand at the same place in ``first`` and ``second``, and all were tested
    on the same images. Both sources of chance count: which images were tested (jackknife of the
    differences), and the seeds of the training (Student's t over the pairs; with one pair they
    cannot be seen, and the interval is over the images alone). Their degrees of freedom are joined
    by Welch's formula. As in ``interval``, scores by class have no interval where a class has a
    single image.
    """
    pairs = list(zip(first, second, strict=True))
    differences = np.array([one.value - other.value for one, other in pairs])
    without = np.mean([one.without - other.without for one, other in pairs], axis=0)

    of_images, freedom = _variance(without, label)
    seeds = len(pairs)
    of_seeds = float(differences.var(ddof=1)) / seeds if seeds > 1 else 0.0
    total = of_images + of_seeds

    value = float(differences.mean())
    if total == 0:
        return Interval(value, value, value)
    spread = of_images**2 / freedom + of_seeds**2 / max(seeds - 1, 1)
    half = _quantile(total**2 / spread) * np.sqrt(total)
    return Interval(value, float(value - half), float(value + half))


def mean_interval(values: Float[np.ndarray, " images"]) -> Interval:
    """Put Student's interval around a mean."""
    value = float(values.mean())
    if len(values) < 2:
        return Interval(value, float("nan"), float("nan"))
    half = _quantile(len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(value, float(value - half), float(value + half))


def reliability(
    confidence: Float[np.ndarray, " claims"],
    correct: Bool[np.ndarray, " claims"],
    bins: int | None = None,
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"], float]:
    """Compare the probability of what is said of images with how often it is true.

    Args:
        bins: number of bins; None: 15, or fewer so that each holds 20 (ours).

    Returns:
        Mean confidence and accuracy in bins of equally many, and the mean distance of the two, the
        expected calibration error (ECE).
    """
    bins = bins or min(15, max(1, len(correct) // 20))
    groups = np.array_split(np.argsort(confidence, kind="stable"), bins)
    means = np.array([(confidence[group].mean(), correct[group].mean()) for group in groups])
    distance = np.abs(means[:, 0] - means[:, 1])
    error = np.average(distance, weights=[len(group) for group in groups])
    return means[:, 0], means[:, 1], float(error)


def _mean(
    correct: Bool[np.ndarray, " images"], label: Int[np.ndarray, " images"], *, over_classes: bool
) -> Estimate:
    """Average over all images, or over the classes, however many images each has."""
    _, place, count = np.unique(label, return_inverse=True, return_counts=True)
    weight = np.full(len(count), 1 / len(count)) if over_classes else count / len(label)
    rate = np.bincount(place, correct) / count
    value = float(rate.mean() if over_classes else correct.mean())

    with np.errstate(invalid="ignore", divide="ignore"):
        others = (count[place] * rate[place] - correct) / (count[place] - 1)
        without = value + weight[place] * (others - rate[place])
        if not over_classes:  # without the image of a class that has no other, the rest is all
            rest = (correct.sum() - correct) / (len(label) - 1)
            without = np.where(count[place] == 1, rest, without)
    return Estimate(value, without)


def _variance(
    without: Float[np.ndarray, " images"], label: Int[np.ndarray, " images"]
) -> tuple[float, float]:
    """Return the jackknife's variance by class, and its degrees of freedom.

    Classes of one image count as one class.
    """
    _, place, count = np.unique(label, return_inverse=True, return_counts=True)
    stratum = np.where(count[place] == 1, len(count), place)
    parts = [without[stratum == k] for k in np.unique(stratum)]
    variances = [(len(p) - 1) / len(p) * float(((p - p.mean()) ** 2).sum()) for p in parts]
    total = sum(variances)
    spread = sum(v**2 / max(len(p) - 1, 1) for v, p in zip(variances, parts, strict=True))
    return total, total**2 / spread if spread > 0 else 1.0


def _quantile(freedom: float) -> float:
    return float(student.ppf((1 + LEVEL) / 2, max(freedom, 1)))


def _sums(parts: Float[np.ndarray, " positives"]) -> Float[np.ndarray, " sums"]:
    """Return the sums of the first 0, 1, ... parts."""
    return np.concatenate([[0.0], parts.cumsum()])
