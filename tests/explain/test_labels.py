"""Labels say what the name says, in any letters."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agnet_vision.explain.labels import class_label


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
