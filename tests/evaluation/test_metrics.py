"""Scores equal scikit-learn's; the store keeps each sample once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    top_k_accuracy_score,
)

from agnet_vision.evaluation.metrics import Predictions, PredictionStore, score


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(30, 80),
    classes=st.integers(3, 8),
    seed=st.integers(0, 1000),
    coarse=st.booleans(),
)
def test_equal_to_sklearn(count: int, classes: int, seed: int, coarse: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator)
    if coarse:  # many equal scores: the case where definitions of AP part
        logits = logits.round()
    drawn = torch.randint(0, classes, (count,), generator=generator)
    predictions = Predictions(torch.arange(count), drawn, logits.softmax(1))
    label, probability = drawn.numpy(), predictions.probability.numpy()
    scores = score(predictions, tuple("abcdefgh"[:classes]))

    present = np.unique(label)
    ap = [average_precision_score(label == number, probability[:, number]) for number in present]
    assert scores["mAP"] == pytest.approx(np.mean(ap), abs=1e-9)
    matrix = confusion_matrix(label, probability.argmax(1), labels=range(classes))
    assert scores["confusion_matrix"] == matrix.tolist()
    assert scores["acc"] == pytest.approx((label == probability.argmax(1)).mean())
    assert scores["loss"] == pytest.approx(
        log_loss(label, probability, labels=range(classes)), abs=1e-6
    )
    if len(present) == classes:
        assert scores["mean_per_class_acc"] == pytest.approx(
            balanced_accuracy_score(label, probability.argmax(1))
        )
    if classes > 5:
        top5 = top_k_accuracy_score(label, probability, k=5, labels=range(classes))
        assert scores["top5"] == pytest.approx(top5)


def test_by_hand() -> None:
    probability = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    scores = score(
        Predictions(torch.arange(4), torch.tensor([0, 1, 1, 0]), probability), ("a", "b")
    )
    assert scores["acc"] == 0.75
    # Both classes are ranked right, wrong, right: (1 / 1 + 2 / 3) / 2.
    assert scores["per_class"]["a"] == pytest.approx({"acc": 1.0, "ap": 5 / 6, "num_images": 2})
    assert scores["per_class"]["b"] == pytest.approx({"acc": 0.5, "ap": 5 / 6, "num_images": 2})
    assert scores["confusion_matrix"] == [[2, 0], [1, 1]]
    assert scores["top5"] == 1.0


def test_absent_class_takes_no_part() -> None:
    probability = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    scores = score(Predictions(torch.arange(2), torch.arange(2), probability), ("a", "b", "c"))
    assert scores["per_class"]["c"] == {"acc": None, "ap": None, "num_images": 0}
    assert scores["mAP"] == scores["mean_per_class_acc"] == 1.0


def test_store_sorts_averages_views_and_leaves_copies_out() -> None:
    store = PredictionStore()
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    store.update(logits[:3], torch.tensor([1, 0, 0]), torch.tensor([7, 2, -1]))
    store.update(logits[3:], torch.tensor([1]), torch.tensor([7]))
    predictions = store.compute()
    assert predictions.sample.tolist() == [2, 7]
    assert predictions.label.tolist() == [0, 1]
    expected = logits.softmax(1)
    torch.testing.assert_close(predictions.probability[0], expected[1])
    torch.testing.assert_close(predictions.probability[1], expected[[0, 3]].mean(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1, 1000])
def test_value_no_score_depends_on_the_range_of_probabilities(
    dtype: torch.dtype, scale: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(60) % 6
    logits = 2 * torch.nn.functional.one_hot(label) + torch.randn(60, 6, generator=generator)
    store = PredictionStore()
    for _ in range(10):
        store.update((scale * logits).to(dtype), label, torch.arange(60))
    predictions = store.predictions()
    assert predictions.probability.max() <= 1

    scores = score(predictions, tuple("abcdef"))
    scaled = score(predictions._replace(probability=10 * predictions.probability), tuple("abcdef"))
    assert all(scaled[name] == scores[name] for name in ("acc", "mean_per_class_acc", "mAP"))
    # Equal scores, as scikit-learn ranks them.
    top5 = top_k_accuracy_score(label, predictions.probability.numpy(), k=5)
    assert scores["top5"] == scaled["top5"] == pytest.approx(top5)


def test_store_of_one_sample() -> None:
    store = PredictionStore()
    store.update(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([1]), torch.tensor([0]))
    assert score(store.predictions(), ("a", "b", "c"))["acc"] == 1.0
