"""What is painted is what was computed."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agnet_vision.explain.explanation import Explanation
from agnet_vision.explain.overlays import (
    THEMES,
    class_label,
    draw_image,
    outline_region,
    paint_attention,
    paint_evidence,
    place_labels,
    region_color,
)
from tests.explain.conftest import with_importance


def test_value_uniform_importance_is_painted_evenly(explanation: Explanation) -> None:
    painted = paint_attention(
        with_importance(explanation, 0.0), Figure().subplots(), THEMES["light"]
    )
    np.testing.assert_allclose(painted.get_array(), 0, atol=1e-4)


def test_value_evidence_is_painted_where_the_frame_lies(explanation: Explanation) -> None:
    axes = Figure().subplots()
    painted, top = paint_evidence(explanation, axes, THEMES["light"])
    x0, y0, x1, y1 = explanation.frame
    assert painted.get_extent() == [x0, x1, y1, y0]
    share = painted.get_array() * top / 112**2 * 100  # the scale is per hundredth of the frame
    np.testing.assert_allclose(
        share.sum(), explanation.evidence[:, explanation.target].sum(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("frame", "dark"),
    [((20, 10, 80, 70), 100 * 80 - 60 * 60), ((-5, -5, 120, 90), 0), ((0.4, 0, 100, 79.7), 0)],
)
def test_value_what_the_network_does_not_see_is_darkened(
    frame: tuple[float, float, float, float], dark: int
) -> None:
    axes = Figure().subplots()
    draw_image(axes, np.full((80, 100, 3), 200, np.uint8), frame)
    pixels = np.asarray(axes.images[0].get_array())
    assert (pixels < 100).all(axis=2).sum() == pytest.approx(dark, rel=0.05)


def test_value_pairs_are_dashed_and_white(explanation: Explanation) -> None:
    axes = Figure().subplots()
    for region in (1, 5):
        outline_region(explanation, axes, region)
    single, pair = axes.patches
    assert single.get_linestyle() == "-"
    assert pair.get_linestyle() != "-"
    assert region_color(explanation, 5) == "#FFFFFF" != region_color(explanation, 1)


def test_value_labels_of_one_box_do_not_cover_each_other() -> None:
    box = np.array([20.0, 20.0, 60.0, 60.0])
    places = place_labels((100, 100), [box] * 12, ["1: 10.0%"] * 12)
    width, height = 100 * (0.02 + 0.026 * 8), 7.5
    assert places[0] == pytest.approx((20 + width / 2, 20 + height / 2))  # in the box's corner
    assert len(place_labels((10, 10), [box / 10] * 400, ["whole: 99.9%"] * 400)) == 400
    for number, (x, y) in enumerate(places):
        assert width / 2 <= x <= 100 - width / 2
        assert height / 2 <= y <= 100 - height / 2
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) >= width - 1e-9 or abs(y - other_y) >= height - 1e-9


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("red_wasp", "red wasp"),
        ("$", r"\$"),
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
