"""Both tasks against torch, timm and hand-worked values."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch.nn import functional

from agnet_vision.errors import ConfigError
from agnet_vision.task import ABSENT, PRESENT, SINGLE_LABEL, UNKNOWN, MultiLabel, Task, task_from

CLASSES = ("ant", "bee", "cat")
NUMBERS = {name: number for number, name in enumerate(CLASSES)}
OPTIONS = {"name": "cross_entropy", "label_smoothing": 0.0, "class_weights": None}
LOGITS = torch.tensor([[0.3, -1.2, 2.0], [-0.5, 0.1, 0.4]])


@pytest.mark.parametrize("task", [SINGLE_LABEL, MultiLabel(), MultiLabel((0.5, 0.25, 1.0))])
def test_value_settings(task: Task) -> None:
    settings = json.loads(json.dumps(task.settings()))
    assert task_from(settings, 3).settings() == task.settings()


def test_value_old_files_have_single_labels() -> None:
    assert task_from({}, 3) is SINGLE_LABEL


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "regression"},
        {"name": "multi_label", "thresholds": [0.5]},
        {"name": "multi_label", "thresholds": [0.5, 2.0, 0.1]},
        {"name": "multi_label", "thresholds": "abc"},
    ],
)
def test_raises_strange_settings(settings: dict) -> None:
    with pytest.raises(ValueError, match="task must be single_label, or multi_label with 3"):
        task_from(settings, 3)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("", (ABSENT, ABSENT, ABSENT)),
        ("ant|cat", (PRESENT, ABSENT, PRESENT)),
        ("bee|?cat", (ABSENT, PRESENT, UNKNOWN)),
    ],
)
def test_value_text(text: str, label: tuple[int, ...]) -> None:
    task = MultiLabel()
    assert task.label(task.names(text), NUMBERS) == label
    assert task.text(label, CLASSES) == text
    assert task.numbers(label) == tuple(k for k in range(3) if label[k] == PRESENT)


def test_value_a_class_may_have_a_separator_in_its_name() -> None:
    classes = {"a|b": 0, "?c": 1}
    assert SINGLE_LABEL.label(SINGLE_LABEL.names("a|b"), classes) == 0
    assert SINGLE_LABEL.text(1, [*classes]) == "?c"


def test_value_loss_of_known_labels() -> None:
    label = torch.tensor([[1, 0, -1], [0, 1, 1]])
    terms = [
        functional.softplus(sign * LOGITS[row, column])  # -log sigmoid, by hand
        for row, column, sign in [(0, 0, -1), (0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 2, -1)]
    ]
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(MultiLabel().loss(**OPTIONS)(LOGITS, label), expected)
    nothing = torch.full((2, 3), UNKNOWN)
    assert MultiLabel().loss(**OPTIONS)(LOGITS, nothing) == 0


def test_value_loss_smoothed_and_weighed() -> None:
    label, weights = torch.tensor([[1, 0, 1], [0, 1, 1]]), [0.5, 2.0, 10.0]
    loss = MultiLabel().loss(name="cross_entropy", label_smoothing=0.2, class_weights=weights)
    target = torch.where(label == 1, 0.9, 0.1)
    expected = functional.binary_cross_entropy_with_logits(
        LOGITS, target, pos_weight=torch.tensor(weights)
    )
    torch.testing.assert_close(loss(LOGITS, label), expected)
    assert not loss.state_dict()  # a run may go on with other weights


def test_value_asymmetric_loss() -> None:
    label = torch.tensor([[1, 0, 1], [0, 1, 1]])
    loss = MultiLabel().loss(name="asymmetric", label_smoothing=0.0, class_weights=None)
    expected = AsymmetricLossMultiLabel(reduction="mean")(LOGITS, label)
    torch.testing.assert_close(loss(LOGITS, label), expected)


def test_value_loss_of_one_label() -> None:
    label, weights = torch.tensor([2, 0]), [0.5, 2.0, 10.0]
    loss = SINGLE_LABEL.loss(name="cross_entropy", label_smoothing=0.1, class_weights=weights)
    expected = functional.cross_entropy(LOGITS, label, torch.tensor(weights), label_smoothing=0.1)
    assert torch.equal(loss(LOGITS, label), expected)


def test_value_class_weights_are_bounded() -> None:
    labels = [(1, 1, 0)] * 30 + [(0, 1, -1), (0, 1, 0), (0, 0, 1)]
    assert MultiLabel().class_weights(labels, 3) == pytest.approx([0.1, 0.1, 10])
    labels = [(1, 0, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 1)]
    assert MultiLabel().class_weights(labels, 3) == pytest.approx([0.5, 3, 3])
    assert SINGLE_LABEL.class_weights([0, 0, 0, 1], 2) == pytest.approx([4 / 6, 2])


def test_value_decisions() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.3]], np.float32)
    decided = [SINGLE_LABEL.decided(row, CLASSES) for row in probability]
    assert decided == [["ant"], ["cat"]]
    assert MultiLabel().decided(probability[0], CLASSES) == ["ant"]
    assert MultiLabel((0.6, 0.3, 0.1)).decided(probability[0], CLASSES) == ["bee", "cat"]
    assert not MultiLabel((0.6, 0.3, 0.4)).decide(probability)[1].any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "balanced"}, "sampler=balanced needs one label"),
        ({"calibration": "temperature"}, "calibration=temperature needs one label"),
        ({"monitor": "acc"}, "monitor must be one of mAP, .*, got 'acc'"),
    ],
)
def test_raises_what_is_for_one_label(changes: dict[str, str], words: str) -> None:
    options = {"sampler": "shuffle", "calibration": "none", "monitor": None, "loss": "asymmetric"}
    MultiLabel().check(**options)
    with pytest.raises(ConfigError, match=words):
        MultiLabel().check(**{**options, **changes})
    with pytest.raises(ConfigError, match=r"loss\.name must be cross_entropy"):
        SINGLE_LABEL.check(**options)
