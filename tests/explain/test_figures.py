"""Whole figures, written."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import explanation_figure, panel_figure, save_figure
from agnet_vision.models.agnet import AGNet
from tests.explain.conftest import photograph


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=3, classes=("$", "$$", "a_$b$_c"))
    return explain(model, photograph())


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


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_value_the_same_figure_gives_the_same_bytes(
    explanation: Explanation, suffix: str, tmp_path: Path
) -> None:
    paths = [
        save_figure(panel_figure(explanation, "evidence"), tmp_path / f"{number}.{suffix}")
        for number in range(2)
    ]
    first, second = (path.read_bytes() for path in paths)
    assert len(first) == len(second)
    assert suffix == "svg" or first == second  # the names inside an SVG are drawn at random
