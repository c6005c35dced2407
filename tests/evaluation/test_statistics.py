"""Estimates against other libraries and slow loops, intervals against simulated test sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from sklearn.metrics import average_precision_score

from agnet_vision.evaluation.metrics import score
from agnet_vision.evaluation.statistics import (
    Estimate,
    Interval,
    average_precision,
    estimates,
    interval,
    mean_interval,
    paired_difference,
    reliability,
)
from tests.evaluation.conftest import random_predictions

SHARED = 0.7  # of the noise of two runs on the same images


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 10_000))
def test_value_average_precision_without_each_image_equals_scikit_learns(
    images: int, levels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    positive, value = rng.random(images) < 0.3, rng.integers(0, levels, images) / levels  # ties
    positive[0] = True
    found = average_precision(positive, value)
    assert found.value == pytest.approx(average_precision_score(positive, value))
    for k in range(images):
        rest = np.arange(images) != k
        if positive[rest].any():
            expected = average_precision_score(positive[rest], value[rest])
            assert found.without[k] == pytest.approx(expected)
        else:
            assert np.isnan(found.without[k])


def test_value_estimates_equal_the_scores_of_the_other_images() -> None:
    predictions = random_predictions(60, 7)  # 9 images of some classes, 8 of others
    label, answer = predictions.label.numpy(), predictions.probability.numpy()
    found = estimates(label, answer)
    scores = score(predictions, tuple("abcdefg"))
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(scores[name], abs=1e-5), name
    for k in (0, 3, 59):
        rest = np.flatnonzero(np.arange(60) != k)
        scores = score(type(predictions)(*(part[rest] for part in predictions)), tuple("abcdefg"))
        for name in ("mean_per_class_acc", "mAP"):
            assert found[name].without[k] == pytest.approx(scores[name], abs=1e-5), name
        # The plain mean keeps the class's share: its other images count for the one left out.
        weight = np.where(label[rest] == label[k], 1 + 1 / ((label == label[k]).sum() - 1), 1.0)
        correct = answer[rest].argmax(axis=1) == label[rest]
        assert found["acc"].without[k] == pytest.approx((weight * correct).sum() / 60)


def test_value_a_class_of_one_image_leaves_scores_by_class_without_interval() -> None:
    predictions = random_predictions(8, 7)
    label = predictions.label.numpy()
    found = estimates(label, predictions.probability.numpy())
    known = {name: interval(estimate, label).is_known for name, estimate in found.items()}
    assert known == {"acc": True, "top5": True, "mean_per_class_acc": False, "mAP": False}
    assert not paired_difference([found["mAP"]], [found["mAP"]], label).is_known


def test_value_interval_of_an_accuracy_is_nearly_the_binomial_one() -> None:
    correct = np.arange(400) % 4 != 0
    probability = np.stack([correct, ~correct], axis=1).astype(np.float32)
    label = np.zeros(400, int)
    found = interval(estimates(label, probability)["acc"], label)
    assert found.value == 0.75
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.02)


def test_value_interval_where_all_is_right_or_wrong_has_a_width() -> None:
    label, right = np.arange(30) % 3, np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    for name, estimate in estimates(label, right).items():
        found = interval(estimate, label)
        assert found.value == found.high == 1, name
        assert found.low == pytest.approx(0.8865, abs=1e-3)  # Wilson: 30 / (30 + 1.96^2)
    wrong = interval(estimates(label, np.roll(right, 1, axis=1))["acc"], label)
    assert wrong.low == pytest.approx(0)
    assert wrong.high == pytest.approx(1 - 0.8865, abs=1e-3)


def test_value_one_image_has_no_interval() -> None:
    label, one = np.array([0]), np.array([[0.9, 0.1]], np.float32)
    for estimate in estimates(label, one).values():
        assert not interval(estimate, label).is_known


def test_value_difference_of_a_run_to_itself_is_nothing() -> None:
    predictions = random_predictions(40, 4)
    label = predictions.label.numpy()
    own = estimates(label, predictions.probability.numpy())["mAP"]
    assert paired_difference([own], [own], label) == Interval(0.0, 0.0, 0.0)


def test_value_difference_of_constant_runs_is_students_t_over_the_seeds() -> None:
    label, same = np.zeros(10, int), np.zeros(10)
    first, second = [0.70, 0.74, 0.69], [0.61, 0.66, 0.65]
    found = paired_difference(
        [Estimate(v, same + v) for v in first], [Estimate(v, same + v) for v in second], label
    )
    expected = ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_value_difference_of_one_pair_is_students_t_over_the_images() -> None:
    rng = np.random.default_rng(0)
    label, correct = np.zeros(50, int), rng.random((2, 50)) < [[0.8], [0.6]]
    pairs = [estimates(label, np.stack([hit, ~hit], 1).astype(np.float32)) for hit in correct]
    found = paired_difference([pairs[0]["acc"]], [pairs[1]["acc"]], label)
    expected = ttest_rel(*correct.astype(float)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_value_mean_interval_is_students() -> None:
    values = np.array([0.1, 0.4, 0.3, 0.2])
    expected = ttest_rel(values, np.zeros(4)).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((0.25, expected.low, expected.high))
    assert np.isnan(mean_interval(values[:1]).low)


def test_value_reliability_by_hand() -> None:
    confidence, correct = np.array([0.6, 0.9, 0.6, 0.9]), np.array([True, True, False, True])
    means, accuracy, error = reliability(confidence, correct, bins=2)
    assert error == pytest.approx(0.1)
    np.testing.assert_allclose([means, accuracy], [[0.6, 0.9], [0.5, 1.0]])


def draw_set(
    rng: np.random.Generator, images_per_class: list[int], skills: list[float], seed_spread: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw a test set and the answers of runs; some images are harder for all of them."""
    label = np.repeat(np.arange(len(images_per_class)), images_per_class)
    place, classes = np.arange(len(label)), len(images_per_class)
    hardness, common = rng.normal(0, 1.5, len(label)), rng.normal(size=(len(label), classes))
    answers = []
    for skill in skills:
        own = rng.normal(size=common.shape)
        logits = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
        logits[place, label] += skill + hardness + rng.normal(0, seed_spread)
        answers.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return label, answers


def interval_coverage(images_per_class: list[int], skill: float, sets: int) -> dict[str, float]:
    """Measure how often intervals hold such sets' mean score."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Interval]] = {}
    for _ in range(sets):
        label, (answer,) = draw_set(rng, images_per_class, [skill], 0.0)
        for name, estimate in estimates(label, answer).items():
            found.setdefault(name, []).append(interval(estimate, label))
    means = {name: np.mean([each.value for each in row]) for name, row in found.items()}
    return {
        name: float(np.mean([each.low <= means[name] <= each.high for each in row]))
        for name, row in found.items()
    }


def difference_coverage(
    images_per_class: list[int], gain: float, seeds: int, seed_spread: float, sets: int
) -> float:
    """Measure how often intervals hold the mean mAP by which a better kind of run leads."""
    rng, found = np.random.default_rng(0), []
    skills = [1.5 + gain] * seeds + [1.5] * seeds
    for _ in range(sets):
        label, answers = draw_set(rng, images_per_class, skills, seed_spread)
        scores = [estimates(label, answer)["mAP"] for answer in answers]
        found.append(paired_difference(scores[:seeds], scores[seeds:], label))
    mean = np.mean([each.value for each in found])
    return float(np.mean([each.low <= mean <= each.high for each in found]))


def test_value_intervals_and_differences_cover_with_few_images_a_class() -> None:
    assert min(interval_coverage([10] * 40, skill=2.0, sets=150).values()) > 0.91
    assert difference_coverage([10] * 20, gain=0.3, seeds=3, seed_spread=0.05, sets=60) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images_per_class", "skill"),
    [([10] * 40, 0.5), ([5] * 3, 1.0), ([20] * 10, 4.0), ([2, 2, 2, 2, 40, 60], 1.5)],
    ids=str,
)
def test_value_intervals_cover(images_per_class: list[int], skill: float) -> None:
    coverage = interval_coverage(images_per_class, skill, sets=400)
    assert min(coverage.values()) > 0.9
    assert coverage["mAP"] < 0.995  # no wider than it must be
