"""Figures and their panels say what they show, and what cannot be ranked."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
from matplotlib.figure import Figure

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import (
    PANELS,
    draw_panel,
    explanation_figure,
    save_figure,
)
from agnet_vision.explain.overlays import THEMES
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from tests.conftest import block_image
from tests.explain.conftest import CLASSES, VARIANTS, with_importance


def make_explanation(variant: str, source: str) -> Explanation:
    torch.manual_seed(0)
    proposer = RegionProposer(source, num_clusters=4)
    network = {"num_clusters": 4, "variant": variant, "proposer": proposer, "classes": CLASSES}
    model = AGNet("test_resnet", 4, **network)
    return explain(model, block_image(), target=1)


def drawn(explanation: Explanation, panel: str) -> tuple[str, list[str]]:
    """Draw a panel, and return its title and its other texts."""
    figure = Figure()
    axes = figure.subplots()
    draw_panel(explanation, axes, panel, THEMES["dark"])
    figure.draw_without_rendering()
    return axes.get_title(), [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_value_figure_has_six_panels_on_the_themes_paper(
    explanation: Explanation, theme: str, tmp_path: Path
) -> None:
    figure = explanation_figure(explanation, theme=theme)
    path = save_figure(figure, tmp_path / "new" / "figure.png")
    pixels = cv2.imread(str(path))
    assert pixels.shape[1] > 1500
    assert (pixels[2, 2].mean() > 200) == (theme == "light")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 6
    assert r"\$" in figure.get_suptitle()


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_smoke_every_panel(variant: str, source: str) -> None:
    explanation = make_explanation(variant, source)
    titles = {panel: drawn(explanation, panel)[0] for panel in PANELS}
    assert all(titles.values())
    if variant == "backbone_only":
        assert titles["keypoints"] == "No regions: this network sees the whole image"
    elif source != "keypoints":
        assert titles["keypoints"] == "4 boxes, not from keypoints"
    if variant == "no_attention":
        assert titles["attention"] == "No attention"
        assert titles["regions"] == "Regions"
        assert drawn(explanation, "pairwise")[1] == ["this network has\nno pairwise attention"]


def test_value_evidence_comes_first_and_large() -> None:
    """A network without regions has the image, and the parts of the logit, beside it."""
    for variant, panels in (("full", 6), ("backbone_only", 3)):
        figure = explanation_figure(make_explanation(variant, "keypoints"))
        figure.draw_without_rendering()
        shown = [axes for axes in figure.axes if axes.get_title()]
        assert len(shown) == panels
        assert shown[0].get_title().startswith("Evidence for ")
        first, second = (axes.get_position().width for axes in shown[:2])
        assert first > 1.7 * second


def test_value_separated_regions_are_ranked(explanation: Explanation) -> None:
    explanation = with_importance(explanation, 0.5)
    title, labels = drawn(explanation, "regions")
    assert title == "Regions by importance (dashed: pairs)"
    first = explanation.regions_by_importance()[0]
    name = explanation.region_name(first)
    assert labels[0] == f"{name}: {explanation.importance[first]:.1%}"
    assert not explanation_figure(explanation).get_supxlabel()
    title, _ = drawn(explanation, "attention")
    assert title == "Importance over uniform 1/R: 0.50 to 1.50 times"


def test_value_regions_that_are_not_separated_are_not_ranked(explanation: Explanation) -> None:
    explanation = with_importance(explanation, 0.008)
    title, labels = drawn(explanation, "regions")
    assert title == "Regions"
    assert labels == ["1", "2", "3", "4"]  # names, no shares
    assert drawn(explanation, "attention")[0] == "Attention, uniform"
    assert explanation_figure(explanation).get_supxlabel().startswith("Attention is uniform, as is")
