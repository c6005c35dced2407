"""What is painted is what was computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.overlays import (
    THEMES,
    attention_map,
    class_label,
    draw_image,
    outline_region,
    paint_evidence,
    region_color,
)
from agnet_vision.models.agnet import AGNet
from tests.explain.conftest import photograph


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    torch.manual_seed(0)
    return explain(AGNet("test_resnet", 4, num_clusters=4), photograph())


def test_value_uniform_importance_is_painted_evenly(explanation: Explanation) -> None:
    mask = explanation.mask
    uniform = replace(explanation, importance=(mask / mask.sum()).astype(np.float32))
    np.testing.assert_allclose(attention_map(uniform), 1, atol=1e-4)


def test_value_evidence_is_painted_where_the_frame_lies(explanation: Explanation) -> None:
    axes = Figure().subplots()
    painted, top = paint_evidence(explanation, axes, THEMES["light"])
    x0, y0, x1, y1 = explanation.frame
    assert painted.get_extent() == [x0, x1, y1, y0]
    share = painted.get_array() * top / 112**2 * 100  # the scale is per hundredth of the frame
    np.testing.assert_allclose(
        share.sum(), explanation.evidence[:, explanation.target].sum(), rtol=1e-3, atol=1e-4
    )


def test_value_what_the_network_does_not_see_is_darkened(explanation: Explanation) -> None:
    axes = Figure().subplots()
    draw_image(explanation, axes)
    height, width = explanation.image.shape[:2]
    x0, y0, x1, y1 = explanation.frame
    dark = sum(
        patch.get_width() * patch.get_height()  # type: ignore[attr-defined]
        for patch in axes.patches
    )
    assert dark == pytest.approx(width * height - (x1 - x0) * (y1 - y0), rel=0.05)


def test_value_pairs_are_dashed_and_white(explanation: Explanation) -> None:
    axes = Figure().subplots()
    for region in (1, 5):
        outline_region(explanation, axes, region)
    single, pair = axes.patches
    assert single.get_linestyle() == "-"
    assert pair.get_linestyle() != "-"
    assert region_color(explanation, 5) == "#FFFFFF" != region_color(explanation, 1)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("red_wasp", "red wasp"),
        ("$", r"\$"),
        ("$$", r"\$\$"),
        (r"$\frac{$", r"\$\frac{\$"),
        ("a" * 30, "a" * 23 + "…"),
        ("two\nlines", "two lines"),
    ],
)
def test_value_label(name: str, label: str) -> None:
    assert class_label(name) == label
    figure = Figure()
    figure.suptitle(f"{class_label(name)} and {class_label(name)}")
    FigureCanvasAgg(figure).draw()  # matplotlib would fail here on half a formula
