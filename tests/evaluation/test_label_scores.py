"""Scores of several labels against scikit-learn's, and intervals against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from agnet_vision.evaluation.label_scores import (
    ThresholdWarning,
    fit_thresholds,
    label_estimates,
)
from agnet_vision.evaluation.metrics import Predictions, PredictionStore, score
from agnet_vision.evaluation.statistics import interval
from agnet_vision.task import UNKNOWN, MultiLabel

CLASSES = ("ant", "bee", "cat", "dog")
TASK = MultiLabel((0.5, 0.3, 0.7, 0.45))


def draw(images: int = 60, *, unknown: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels, one of which nearly all images have, and probabilities, many of them equal."""
    rng = np.random.default_rng(0)
    label = (rng.random((images, 4)) < [0.3, 0.9, 0.1, 0.5]).astype(int)
    probability = (0.3 * label + rng.random((images, 4))).clip(0, 1).round(1).astype(np.float32)
    label[rng.random(label.shape) < unknown] = UNKNOWN
    return label, probability


def scored(label: np.ndarray, probability: np.ndarray) -> dict:
    tensors = (torch.from_numpy(each) for each in (label, probability))
    return score(Predictions(torch.arange(len(label)), *tensors), CLASSES, TASK)


def test_value_as_scikit_learn() -> None:
    label, probability = draw()
    found = scored(label, probability)
    given = probability >= np.array(TASK.thresholds, np.float32)
    expected = {
        "mAP": metrics.average_precision_score(label, probability, average="macro"),
        "micro_mAP": metrics.average_precision_score(label, probability, average="micro"),
        "absent_mAP": metrics.average_precision_score(1 - label, -probability, average="macro"),
        "macro_F1": metrics.f1_score(label, given, average="macro"),
        "micro_F1": metrics.f1_score(label, given, average="micro"),
        "exact_match": metrics.accuracy_score(label, given),
        "ranking_loss": metrics.label_ranking_loss(label, probability),
        "loss": np.mean(
            [metrics.log_loss(label[:, k], probability[:, k].astype(float)) for k in range(4)]
        ),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    rows = [found["per_class"][name] for name in CLASSES]
    parts = metrics.precision_recall_fscore_support(label, given, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "num_images"), parts, strict=True):
        assert [row[name] for row in rows] == pytest.approx(values.tolist())
    assert found["together"] == (label.T @ label).tolist()
    assert found["task"] == TASK.settings()


def test_value_unknown_labels_take_no_part() -> None:
    label, probability = draw(unknown=0.3)
    found = scored(label, probability)
    known = label != UNKNOWN
    given = probability >= np.array(TASK.thresholds, np.float32)
    columns = [(label[known[:, k], k], probability[known[:, k], k]) for k in range(4)]
    average = [metrics.average_precision_score(*column) for column in columns]
    assert found["mAP"] == pytest.approx(np.mean(average))
    flat = label[known], probability[known]
    assert found["micro_mAP"] == pytest.approx(metrics.average_precision_score(*flat))
    assert found["micro_F1"] == pytest.approx(metrics.f1_score(label[known], given[known]))

    wrong = []
    for row, seen, mine in zip(probability, known, label, strict=True):
        pairs = [
            row[a] <= row[b]
            for a in np.flatnonzero(seen & (mine == 1))
            for b in np.flatnonzero(seen & (mine == 0))
        ]
        wrong.append(np.mean(pairs) if pairs else 0)
    assert found["ranking_loss"] == pytest.approx(np.mean(wrong))
    # What is said of an unknown label changes nothing.
    assert scored(label, np.where(known, probability, 1 - probability)) == {
        **found,
        "predicted_together": pytest.approx(np.zeros((4, 4)), abs=60),
    }


def test_value_labels_without_positives_are_named() -> None:
    label, probability = draw()
    rest = [0, 1, 3]
    label[:, 2] = 0
    found = scored(label, probability)
    assert found["without_positives"] == ["cat"]
    expected = metrics.average_precision_score(label[:, rest], probability[:, rest])
    assert found["mAP"] == pytest.approx(expected)
    assert found["per_class"]["cat"]["ap"] is None
    assert scored(np.zeros_like(label), probability)["mAP"] == 0


def test_value_without_each_image() -> None:
    label, probability = draw(unknown=0.1)
    found = label_estimates(TASK, label, probability)
    for image in range(len(label)):
        rest = np.arange(len(label)) != image
        expected = label_estimates(TASK, label[rest], probability[rest])
        for name, estimate in expected.items():
            assert found[name].without[image] == pytest.approx(estimate.value), name
    for estimate in found.values():
        around = interval(estimate, np.zeros(len(label), int))
        assert around.low < around.value < around.high


def test_value_thresholds_have_the_best_f1() -> None:
    label, probability = draw(400)
    probability[:, 1] = probability[::-1, 1]  # says nothing any more
    with pytest.warns(ThresholdWarning, match=r"stay 0\.5: bee \(it fits all\)"):
        thresholds = fit_thresholds(label, probability, CLASSES)
    assert thresholds[1] == 0.5
    for k in (0, 2, 3):
        best = max(
            metrics.f1_score(label[:, k], probability[:, k] >= np.float32(step / 100))
            for step in range(1, 100)
        )
        given = probability[:, k] >= np.float32(thresholds[k])
        assert metrics.f1_score(label[:, k], given) == pytest.approx(best)


def test_value_few_images_fit_no_threshold() -> None:
    label, probability = draw()
    with pytest.warns(ThresholdWarning, match=r": bee, cat \(fewer than 10 images with or without"):
        thresholds = fit_thresholds(label, probability, CLASSES)
    assert thresholds[2] == 0.5


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("images", [1, 3])
def test_value_store(images: int, classes: int) -> None:
    """Views are averaged, copies left out, and a single value keeps its axes."""
    logits = torch.randn(images, 2, classes, generator=torch.Generator().manual_seed(0))
    label = torch.arange(images * classes).reshape(images, classes) % 2
    store = PredictionStore(MultiLabel())
    for view in range(2):
        store.update(logits[:, view], label, torch.arange(images))
    store.update(logits[:, 0], label, torch.full((images,), -1))
    sample, labels, probability = store.predictions()
    assert torch.equal(sample, torch.arange(images))
    assert torch.equal(labels, label)
    torch.testing.assert_close(probability, logits.sigmoid().mean(dim=1))
