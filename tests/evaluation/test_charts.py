"""Charts for any names, any number of classes, no history."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from agnet_vision.evaluation import charts
from agnet_vision.evaluation.run_folder import RunFolder

NAMES = ("$", "$$", "a_$x", "<b>", "[bold]", "_")


def texts(svg: str) -> set[str]:
    """Return what an SVG says."""
    root = ElementTree.fromstring(svg)
    return {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}


def test_value_names_stand_as_they_are() -> None:
    """A class folder "$" once ended a finished training."""
    drawn = charts.confusion_matrix(np.eye(6, dtype=int) * 3, NAMES)
    said = texts(charts.to_svg(drawn, "Confusion"))
    assert {"$", "$$", "a $x", "<b>", "[bold]"} <= said


@pytest.mark.parametrize("classes", [2, 13, 41])
def test_value_confusion_matrix_lies_inside_the_figure(classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 3, (classes, classes))
    drawn = charts.confusion_matrix(counts.tolist(), [f"class {k}" for k in range(classes)])
    left, top, width, height = charts.place_in_figure(drawn)
    assert 0 < left < left + width < 1
    assert 0 < top < top + height < 1


def test_value_curves_of_a_run_and_of_none(runs: tuple[Path, Path], tmp_path: Path) -> None:
    history = RunFolder(runs[0]).read_history()
    drawn = [
        texts(charts.to_svg(figure, title))
        for title, figure in charts.curve_figures(history, history, tested=2)
    ]
    assert {"training loss", "validation loss, baseline", "tested epoch"} <= drawn[0]
    assert {"validation acc", "validation mAP, baseline", "tested epoch"} <= drawn[1]
    empty = charts.learning_curves([])
    charts.save_png(empty, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png"))[0, 0].tolist() == [255] * 3


def test_value_svg_takes_the_pages_ink_and_is_the_same_again(runs: tuple[Path, Path]) -> None:
    run = RunFolder(runs[0]).read_results()
    first, second = (
        charts.to_svg(charts.reliability_diagram(run), "Calibration") for _ in range(2)
    )
    assert first == second
    assert "var(--ink)" in first
    assert charts.INK not in first
    assert charts.FAINT not in first
