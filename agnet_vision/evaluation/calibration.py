"""Calibrated probabilities, and a correction for rare classes.

Two corrections of the logits, fitted on held-out images: a temperature (Guo et al., 2017) makes the
confidence as high as the accuracy, and logit adjustment (Menon et al., 2021) takes ``tau`` times
the logarithm of a class's share of the training images off its logit. Both are linear, so they are
written into the last layer, and predict, page, ONNX and explanations apply them without knowing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax

from agnet_vision.bounds import BOUNDS
from agnet_vision.models.agnet import AGNet

# Ours. In simulations a temperature is off by a factor of 1.2 after 10 mistakes, of 1.6 after 2.
MIN_MISTAKES = 10


class CalibrationWarning(UserWarning):
    """A correction that was asked for and not made."""


class Calibration(NamedTuple):
    """A correction of logits to ``(logits - tau * log_share) / temperature``."""

    temperature: float = 1.0
    tau: float = 0.0


def fit_calibration(
    logits: Float[np.ndarray, "images classes"],
    label: Int[np.ndarray, " images"],
    class_counts: Sequence[int] = (),
) -> Calibration:
    """Find the correction with the least cross-entropy, by L-BFGS.

    A fit to fewer than ``MIN_MISTAKES``, or one that ends at a bound, says more of single images
    than of the network: the logits stay as they are, and a ``CalibrationWarning`` says why.

    Args:
        logits: those of held-out images; logarithms of their probabilities serve as well.
        label: true class of each image.
        class_counts: number of training images of each class, to fit ``tau`` as well; then every
            class weighs the same, however few images it has.
    """
    weight = 1 / np.bincount(label)[label] if class_counts else np.ones(len(label))
    wrong = weight[logits.argmax(axis=1) != label]
    # One image of a rare class may weigh more than all others: as many count as of equal weight.
    mistakes = wrong.sum() ** 2 / max((wrong**2).sum(), 1e-12)
    if mistakes < MIN_MISTAKES:
        return _untouched(
            f"{len(wrong)} mistakes in {len(label):,} images, which count as {mistakes:.1f}, "
            f"are under {MIN_MISTAKES}"
        )

    shift = log_share(class_counts) if class_counts else np.zeros(logits.shape[1])

    def cross_entropy(parameters: Float[np.ndarray, " 2"]) -> float:
        """Average over the images, or over the classes."""
        log_temperature, tau = parameters
        corrected = log_softmax((logits - tau * shift) / np.exp(log_temperature), axis=1)
        return float(-np.average(corrected[np.arange(len(label)), label], weights=weight))

    bounds = {"temperature": np.log(BOUNDS["temperature"][:2])}
    bounds["tau"] = np.array(BOUNDS["tau"][:2] if class_counts else (0, 0))
    start = (0, bool(class_counts))
    found = minimize(cross_entropy, start, method="L-BFGS-B", bounds=list(bounds.values())).x
    for (name, (low, high)), value in zip(bounds.items(), found, strict=True):
        if low < high and not low + 0.01 < value < high - 0.01:
            return _untouched("{} ends at a bound, {:g} or {:g}".format(name, *BOUNDS[name][:2]))
    return Calibration(float(np.exp(found[0])), float(found[1]))


def _untouched(reason: str) -> Calibration:
    warnings.warn(
        f"the network is not calibrated: {reason}; give more validation images "
        "(dataset.val_fraction), or take calibration=none",
        CalibrationWarning,
        stacklevel=3,
    )
    return Calibration()


def log_share(class_counts: Sequence[int]) -> Float[np.ndarray, " classes"]:
    """Take the logarithm of each class's share of the training images, of one if it has none."""
    counts = np.maximum(class_counts, 1)
    return np.log(counts / counts.sum())


@torch.no_grad()
def apply_calibration(
    model: AGNet, calibration: Calibration, class_counts: Sequence[int] = ()
) -> None:
    """Write the corrections into the network's last layer and its configuration.

    The network is changed in place, and is to be trained no further. Where ``tau`` is not 0,
    ``class_counts`` must be given: the number of training images of each class.
    """
    linear = model.head.classifier.linear
    if calibration.tau:
        linear.bias.sub_(torch.from_numpy(calibration.tau * log_share(class_counts)))
    linear.weight.div_(calibration.temperature)
    linear.bias.div_(calibration.temperature)
    model.calibration = calibration._asdict()
