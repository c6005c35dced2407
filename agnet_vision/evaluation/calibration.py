"""Calibrated probabilities, and a correction for rare classes.

Two corrections of the logits after training, both fitted on held-out images: a temperature (Guo et
al., 2017), which makes the confidence as high as the accuracy, and logit adjustment (Menon et al.,
2021), which takes ``tau`` times the logarithm of a class's share of the training images off its
logit. Both are linear in the logits, so ``apply_calibration`` writes them into the last linear
layer: whatever uses the network afterwards (predict, page, ONNX, explanations) applies them without
knowing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from agnet_vision.bounds import BOUNDS, check_bounds
from agnet_vision.models.agnet import AGNet

# Ours: 1 is the value theory gives; 0 does nothing.
TAUS = tuple(step / 10 for step in range(int(10 * BOUNDS["tau"].high) + 1))


class Reliability(NamedTuple):
    """Confidence against accuracy in bins of equally many images.

    Attributes:
        confidence: mean of each bin.
        accuracy: of each bin.
        error: their mean distance, the expected calibration error (ECE).
    """

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    error: float


def reliability(
    confidence: Float[np.ndarray, " images"],
    correct: Bool[np.ndarray, " images"],
    *,
    bins: int = 15,
) -> Reliability:
    """Compare a network's confidence with how often it is right.

    Args:
        confidence: probability of the predicted class.
        correct: whether it is the true one.
        bins: number of bins; 15 (usual).
    """
    groups = [g for g in np.array_split(np.argsort(confidence, kind="stable"), bins) if len(g)]
    sure = np.array([confidence[g].mean() for g in groups])
    right = np.array([correct[g].mean() for g in groups])
    size = np.array([len(g) for g in groups])
    return Reliability(sure, right, float((np.abs(sure - right) * size).sum() / size.sum()))


def fit_temperature(
    logits: Float[np.ndarray, "images classes"], label: Int[np.ndarray, " images"]
) -> float:
    """Find T so that ``softmax(logits / T)`` has least cross-entropy.

    Args:
        logits: of held-out images; logarithms of their probabilities serve as well.
        label: the true class of each.

    Returns:
        T, between 0.05 and 20; above 1 where the network is too sure of itself.

    Raises:
        ValueError: there is no image, or a logit is not finite.
    """
    _check(logits, label)
    chosen = np.arange(len(label)), label

    def cross_entropy(log_temperature: float) -> float:
        """Average over the images."""
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[chosen].mean())

    low, high, *_ = BOUNDS["temperature"]
    bounds = np.log([low, high])
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))


def fit_tau(
    logits: Float[np.ndarray, "images classes"],
    label: Int[np.ndarray, " images"],
    class_counts: Sequence[int],
) -> float:
    """Find the logit adjustment with the highest mean per-class accuracy.

    Args:
        logits: of held-out images; logarithms of their probabilities serve as well.
        label: the true class of each.
        class_counts: training images of each class.

    Returns:
        tau, 0 to 2 in steps of 0.1; the smallest of equally good ones.

    Raises:
        ValueError: as ``fit_temperature``, or a class has no training image.
    """
    _check(logits, label)
    shift = log_share(class_counts)
    present = np.unique(label)

    def balanced_accuracy(tau: float) -> float:
        """Average the accuracy of the classes."""
        correct = (logits - tau * shift).argmax(axis=1) == label
        return float(np.mean([correct[label == k].mean() for k in present]))

    return max(TAUS, key=balanced_accuracy)


def log_share(class_counts: Sequence[int]) -> Float[np.ndarray, " classes"]:
    """Take the logarithm of each class's share of training images.

    Raises:
        ValueError: a class has none.
    """
    counts = np.asarray(class_counts, dtype=np.float64)
    if (counts <= 0).any():
        raise ValueError(f"class_counts must be positive, got {int(counts.min())}")
    return np.log(counts / counts.sum())


class Calibration(NamedTuple):
    """Correction to ``(logits - tau * log_share) / temperature``."""

    temperature: float = 1.0
    tau: float = 0.0


def fit_calibration(
    logits: Float[np.ndarray, "images classes"],
    label: Int[np.ndarray, " images"],
    class_counts: Sequence[int] | None = None,
) -> Calibration:
    """Fit the temperature, after logit adjustment where ``class_counts`` are given.

    Args:
        logits: of held-out images, not of those trained on.
        label: the true class of each.
        class_counts: training images of each class; None: only the temperature is fitted.

    Raises:
        ValueError: see ``fit_temperature`` and ``fit_tau``.
    """
    tau = 0.0
    if class_counts is not None:
        tau = fit_tau(logits, label, class_counts)
        logits = logits - tau * log_share(class_counts)
    return Calibration(fit_temperature(logits, label), tau)


@torch.no_grad()
def apply_calibration(
    model: AGNet, calibration: Calibration, class_counts: Sequence[int] | None = None
) -> None:
    """Write the corrections into the last layer and the configuration.

    Args:
        model: changed in place; train it no further.
        calibration: from ``fit_calibration``.
        class_counts: training images of each class; needed where ``tau`` is not 0.

    Raises:
        ValueError: a correction is out of bounds, ``tau`` is given without ``class_counts``, or the
            network has no classes or is calibrated already.
    """
    check_bounds(**calibration._asdict())
    if model.calibration:
        raise ValueError(f"model must not be calibrated twice, it has {model.calibration}")
    linear = model.head.classifier.linear
    if not isinstance(linear, torch.nn.Linear):
        raise ValueError("model must have classes to be calibrated, got num_classes=0")
    if calibration.tau:
        if class_counts is None:
            raise ValueError(f"class_counts must be given with tau={calibration.tau}")
        shift = torch.from_numpy(calibration.tau * log_share(class_counts))
        linear.bias.sub_(shift.to(linear.bias))
    linear.weight.div_(calibration.temperature)
    linear.bias.div_(calibration.temperature)
    model.calibration = calibration._asdict()


def _check(logits: np.ndarray, label: np.ndarray) -> None:
    if not len(label) or not np.isfinite(logits).all():
        raise ValueError(
            f"logits must be finite and of at least one image, got {len(label)} images"
        )
