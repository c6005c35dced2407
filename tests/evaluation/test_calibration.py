"""Corrections of the logits: fitted right, and applied everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from agnet_vision.evaluation.calibration import (
    Calibration,
    apply_calibration,
    fit_calibration,
    fit_tau,
    fit_temperature,
    reliability,
)
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import Predictor
from tests.explain.conftest import photograph


def draw_logits(seed: int = 0, images: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits whose softmax is the true class's probability."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, 5)) * 2
    label = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, label


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_value_temperature_is_found(temperature: float) -> None:
    logits, label = draw_logits()
    assert fit_temperature(logits * temperature, label) == pytest.approx(temperature, rel=0.08)
    shifted = log_softmax(logits * temperature, axis=1)  # probabilities serve as well
    assert fit_temperature(shifted, label) == pytest.approx(temperature, rel=0.08)


def test_value_temperature_lowers_the_calibration_error() -> None:
    logits, label = draw_logits()
    sure = logits * 3

    def error(logits: np.ndarray) -> float:
        probability = np.exp(log_softmax(logits, axis=1))
        return reliability(probability.max(axis=1), probability.argmax(axis=1) == label).error

    assert error(sure) > 0.1
    assert error(sure / fit_temperature(sure, label)) < 0.03


def test_value_temperature_is_bounded_where_all_is_right() -> None:
    assert fit_temperature(np.eye(3), np.arange(3)) == pytest.approx(0.05, rel=0.05)
    assert fit_temperature(np.eye(3), (np.arange(3) + 1) % 3) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize(
    ("logits", "label"), [(np.zeros((0, 3)), []), (np.array([[np.nan, 0.0]]), [1])]
)
def test_raises_on_logits_that_nothing_can_be_fitted_to(logits: np.ndarray, label: list) -> None:
    with pytest.raises(ValueError, match="finite and of at least one image"):
        fit_temperature(logits, np.array(label, int))


def test_value_rare_classes_are_heard() -> None:
    """tau = 1 takes out the shares that were learned.

    The network has learned those of the training images.
    """
    logits, label = draw_logits(images=20_000)
    counts = [10_000, 1000, 100, 100, 100]
    biased = logits + np.log(np.array(counts) / sum(counts))
    tau = fit_tau(biased, label, counts)
    assert tau == pytest.approx(1, abs=0.2)
    assert fit_tau(logits, label, [7] * 5) == 0  # equal shares: nothing to do
    with pytest.raises(ValueError, match="class_counts must be positive, got 0"):
        fit_tau(logits, label, [1, 1, 1, 1, 0])


def test_value_reliability_by_hand() -> None:
    confidence, correct = np.array([0.6, 0.6, 0.9, 0.9]), np.array([True, False, True, True])
    found = reliability(confidence, correct, bins=2)
    assert found.error == pytest.approx(0.1)
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])


@pytest.fixture
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 3, num_clusters=3).eval()


def test_value_predictions_and_explanations_are_calibrated(model: AGNet) -> None:
    image, counts = photograph(), [8, 4, 1]
    logits = explain(model, image).logits
    apply_calibration(model, Calibration(temperature=1.7, tau=0.5), counts)
    expected = (logits - 0.5 * np.log(np.array(counts) / 13)) / 1.7
    after = explain(model, image)
    np.testing.assert_allclose(after.logits, expected, atol=1e-5)
    np.testing.assert_allclose(after.bias + after.evidence.sum(0), after.logits, atol=1e-4)
    found = Predictor(model).outputs([image]).probabilities[0]
    np.testing.assert_allclose(found, np.exp(log_softmax(expected)), atol=1e-5)


def test_value_calibration_is_fitted_after_the_adjustment() -> None:
    logits, label = draw_logits(images=20_000)
    counts = [10_000, 1000, 100, 100, 100]
    biased = 2 * (logits + np.log(np.array(counts) / sum(counts)))
    found = fit_calibration(biased, label, counts)
    assert found.tau == pytest.approx(2, abs=0.3)
    assert found.temperature == pytest.approx(2, rel=0.15)
    assert fit_calibration(logits, label).tau == 0


def test_raises_where_a_network_cannot_be_calibrated(model: AGNet) -> None:
    with pytest.raises(ValueError, match=r"class_counts must be given with tau=0\.5"):
        apply_calibration(model, Calibration(tau=0.5))
    with pytest.raises(ValueError, match=r"temperature must be a number in \[0.05, 20\], got 50"):
        apply_calibration(model, Calibration(temperature=50))
    with pytest.raises(ValueError, match="num_classes=0"):
        apply_calibration(AGNet("test_resnet", 0, num_clusters=2), Calibration(temperature=2.0))
