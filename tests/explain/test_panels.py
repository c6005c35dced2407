"""Panels say what they show, and what cannot be ranked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.overlays import THEMES
from agnet_vision.explain.panels import PANELS, _digits, draw_panel
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from tests.explain.conftest import VARIANTS, photograph


def make_explanation(variant: str = "full", source: str = "keypoints") -> Explanation:
    torch.manual_seed(0)
    proposer = RegionProposer(source, num_clusters=4)
    classes = ("ant", "$bee$", "$", "dog")
    model = AGNet(
        "test_resnet", 4, num_clusters=4, variant=variant, proposer=proposer, classes=classes
    )
    return explain(model, photograph(), target=1)


def with_importance(explanation: Explanation, spread: float) -> Explanation:
    """Spread the importances around the uniform.

    They go from ``1 - spread`` to ``1 + spread`` times it.
    """
    count = int(explanation.mask.sum())
    importance = np.zeros(len(explanation.mask), np.float32)
    importance[explanation.mask] = np.linspace(1 - spread, 1 + spread, count) / count
    return replace(explanation, importance=importance)


def drawn(explanation: Explanation, panel: str) -> tuple[str, list[str]]:
    """Draw a panel.

    Returns its title and its other texts.
    """
    figure = Figure()
    axes = figure.subplots()
    draw_panel(explanation, axes, panel, THEMES["dark"])
    figure.draw_without_rendering()
    return axes.get_title(), [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_smoke_every_panel(variant: str, source: str) -> None:
    explanation = make_explanation(variant, source)
    for panel in PANELS:
        assert drawn(explanation, panel)[0]


def test_value_separated_regions_are_ranked() -> None:
    explanation = with_importance(make_explanation(), 0.5)
    title, labels = drawn(explanation, "regions")
    assert title == "Regions by importance (dashed: pairs)"
    first = explanation.regions_by_importance()[0]
    name = explanation.region_name(first)
    assert labels[0] == f"{name}: {explanation.importance[first]:.1%}"
    assert drawn(explanation, "attention")[0] == "Importance over uniform 1/R"
    faint = drawn(with_importance(explanation, 0.05), "attention")[0]
    assert faint.endswith(", 0.95 to 1.05 times")


def test_value_regions_that_are_not_separated_are_not_ranked() -> None:
    explanation = with_importance(make_explanation(), 0.008)
    title, labels = drawn(explanation, "regions")
    assert title == "Regions, all alike"
    assert labels == ["1", "2", "3", "4"]  # names, no shares
    assert drawn(explanation, "attention")[0] == "Attention separates no regions (within 1 %)"


def test_value_a_network_without_attention_says_so() -> None:
    explanation = make_explanation("no_attention")
    assert drawn(explanation, "attention")[0] == "No attention: regions all alike"
    assert drawn(explanation, "regions")[0] == "Regions, all alike"
    assert drawn(explanation, "pairwise")[1] == ["this network has\nno pairwise attention"]


@pytest.mark.parametrize(
    ("variant", "source", "title"),
    [
        ("full", "random", "4 boxes, not from keypoints"),
        ("full", "grid", "4 boxes, not from keypoints"),
        ("backbone_only", "keypoints", "No regions: this network sees the whole image"),
    ],
)
def test_value_keypoints_are_counted_only_where_they_are(
    variant: str, source: str, title: str
) -> None:
    assert drawn(make_explanation(variant, source), "keypoints")[0] == title


def test_value_too_few_keypoints_are_said() -> None:
    image = np.full((90, 140, 3), 128, np.uint8)
    image[40:50, 60:70] = 0
    torch.manual_seed(0)
    explanation = explain(AGNet("test_resnet", 4, num_clusters=8), image)
    assert ", too few for 8" in drawn(explanation, "keypoints")[0]


def test_value_parts_of_a_weak_logit_are_readable() -> None:
    assert [_digits(value) for value in (3.0, 0.2, 0.003, 0.0)] == [2, 2, 4, 2]
