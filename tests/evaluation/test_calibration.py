"""Corrections of the logits: fitted right, and applied everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from agnet_vision.evaluation.calibration import (
    Calibration,
    CalibrationWarning,
    apply_calibration,
    fit_calibration,
)
from agnet_vision.evaluation.statistics import reliability
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import Predictor
from tests.conftest import block_image

COUNTS = [10_000, 1000, 100, 100, 100]


def draw_logits(images: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits whose softmax is the true class's probability."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, 5)) * 2
    label = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, label


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_value_temperature_is_found(temperature: float) -> None:
    logits, label = draw_logits()
    for given in (logits * temperature, log_softmax(logits * temperature, axis=1)):
        found = fit_calibration(given, label)
        assert found == (pytest.approx(temperature, rel=0.08), 0)

    def error(logits: np.ndarray) -> float:
        probability = np.exp(log_softmax(logits, axis=1))
        correct = probability.argmax(axis=1) == label
        return reliability(probability.max(axis=1), correct, bins=15)[2]

    assert error(logits * temperature / found.temperature) < 0.03
    assert error(logits * 3) > 0.1


@pytest.mark.parametrize("mistakes", [0, 9, 400])
@pytest.mark.parametrize("class_counts", [(), COUNTS], ids=["temperature", "rare classes"])
def test_raises_and_leaves_the_logits_where_mistakes_say_nothing(
    mistakes: int, class_counts: list[int]
) -> None:
    label = np.arange(400) % 5
    answer = np.where(np.arange(400) < mistakes, (label + 1) % 5, label)
    with pytest.warns(CalibrationWarning, match="not calibrated: .*; give more validation images"):
        assert fit_calibration(5 * np.eye(5)[answer], label, class_counts) == (1, 0)


def test_raises_where_one_image_outweighs_all_others() -> None:
    logits, label = draw_logits()
    rare = np.flatnonzero((label == 4) & (logits.argmax(axis=1) != 4))[:1]
    chosen = np.concatenate([np.flatnonzero(label != 4), rare])
    with pytest.warns(CalibrationWarning, match=r"which count as 5\.\d, are under 10"):
        assert fit_calibration(logits[chosen], label[chosen], COUNTS) == (1, 0)
    assert fit_calibration(logits[chosen], label[chosen]) != (1, 0)


@pytest.mark.parametrize("true", [-1, 6])
def test_raises_on_tau_at_a_bound(true: int) -> None:
    logits, label = draw_logits(images=20_000)
    biased = logits + true * np.log(np.array(COUNTS) / sum(COUNTS))
    with pytest.warns(CalibrationWarning, match="tau ends at a bound, 0 or 4"):
        assert fit_calibration(biased, label, COUNTS) == (1, 0)


@pytest.mark.parametrize("scale", [1, 2])
def test_value_rare_classes_are_heard(scale: int) -> None:
    """The shares that the network learned from its training images are taken out."""
    logits, label = draw_logits(images=20_000)
    biased = scale * (logits + np.log(np.array(COUNTS) / sum(COUNTS)))
    found = fit_calibration(biased, label, COUNTS)
    assert found == pytest.approx((scale, scale), rel=0.05)
    assert fit_calibration(logits, label, [7] * 5)[0] == pytest.approx(1, rel=0.05)  # equal shares


def test_value_predictions_and_explanations_are_calibrated() -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=3).eval()
    image, counts = block_image(), [8, 4, 1]
    logits = explain(model, image).logits
    apply_calibration(model, Calibration(temperature=1.7, tau=0.5), counts)

    expected = (logits - 0.5 * np.log(np.array(counts) / 13)) / 1.7
    after = explain(model, image)
    np.testing.assert_allclose(after.logits, expected, atol=1e-5)
    np.testing.assert_allclose(after.bias + after.evidence.sum(0), after.logits, atol=1e-4)
    found = Predictor(model).outputs([image]).probabilities[0]
    np.testing.assert_allclose(found, np.exp(log_softmax(expected)), atol=1e-5)
