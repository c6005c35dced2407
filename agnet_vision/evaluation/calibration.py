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

# Ours. In simulations a temperature is off by a factor of 1.2 after 10 mistakes, of 1.6 after 2,
# and then makes every second network that was calibrated before worse.
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

    Raises:
        ValueError: there is no image, or a logit is not finite.
    """
    if not len(label) or not np.isfinite(logits).all():
        raise ValueError(f"logits must be finite and of at least one image, got {logits.shape}")
    low, high, *_ = BOUNDS["temperature"]
    bounds = [(np.log(low), np.log(high)), BOUNDS["tau"][:2] if class_counts else (0, 0)]
    weight = 1 / np.bincount(label)[label] if class_counts else np.ones(len(label))
    shift = log_share(class_counts) if class_counts else np.zeros(logits.shape[1])

    wrong = weight[logits.argmax(axis=1) != label]
    # As many as count where weights differ: one image of a rare class may outweigh all others.
    mistakes = wrong.sum() ** 2 / max((wrong**2).sum(), 1e-12)
    if mistakes < MIN_MISTAKES:
        return _untouched(
            f"{len(wrong)} mistakes in {len(label):,} images, which count as {mistakes:.1f}, are "
            f"fewer than {MIN_MISTAKES}"
        )

    def cross_entropy(parameters: Float[np.ndarray, " 2"]) -> float:
        """Average over the images, or over the classes."""
        log_temperature, tau = parameters
        corrected = log_softmax((logits - tau * shift) / np.exp(log_temperature), axis=1)
        return float(-np.average(corrected[np.arange(len(label)), label], weights=weight))

    log_temperature, tau = minimize(cross_entropy, (0, 0), method="L-BFGS-B", bounds=bounds).x
    fitted = Calibration(float(np.exp(log_temperature)), float(tau))
    if not low * 1.01 < fitted.temperature < high / 1.01:
        return _untouched(f"temperature={fitted.temperature:.3g} is at the end of {low} to {high}")
    least, most = bounds[1]
    if least < most and not least + 0.01 < tau < most - 0.01 and np.ptp(shift) > 0:
        return _untouched(f"tau={tau:.3g} is at the end of {least} to {most}")
    return fitted


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

    Raises:
        ValueError: the network is calibrated already, or has no classes.
    """
    if model.calibration:
        raise ValueError(f"model must not be calibrated twice, it has {model.calibration}")
    linear = model.head.classifier.linear
    if not isinstance(linear, torch.nn.Linear):
        raise ValueError("model must have classes to be calibrated, got num_classes=0")
    if calibration.tau:
        linear.bias.sub_(torch.from_numpy(calibration.tau * log_share(class_counts)))
    linear.weight.div_(calibration.temperature)
    linear.bias.div_(calibration.temperature)
    model.calibration = calibration._asdict()
