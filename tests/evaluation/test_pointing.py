"""Evidence inside boxes, against evidence that is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agnet_vision.data.marks import box_in_pixels
from agnet_vision.errors import DatasetError
from agnet_vision.evaluation import pointing
from agnet_vision.evaluation.pointing import covered_by, point, read_boxes, summarize_pointing
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import class_names
from tests.conftest import block_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), block_image())
    return path


def test_value_energy_hit_and_area_of_planted_evidence(
    model: AGNet, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All evidence in the upper left of 4 x 4 cells, boxes on half of it, and elsewhere."""
    cells = np.full((4, 4), -1.0)
    cells[0, 0], cells[3, 3] = 3.0, 1.0

    def planted(*arguments: object, **options: object) -> object:
        shown = explain(*arguments, **options)  # type: ignore[arg-type]
        height, width = shown.image.shape[:2]
        return replace(shown, cells=cells, frame=(0, 0, width, height))

    monkeypatch.setattr(pointing, "explain", planted)
    name = class_names(model)[1]
    half, other, whole = (0, 0, 0.25, 0.125), (0.75, 0.75, 1, 1), (0, 0, 1, 1)
    boxes = {name: [half], class_names(model)[0]: [other], None: [half, other, whole]}
    first, second, third = point(model, [image], [boxes])

    assert first.energy == pytest.approx(3 / 4 / 2)
    assert first.area == pytest.approx(1 / 32)
    assert (second.energy, second.hit, second.area) == (pytest.approx(1 / 4), False, 1 / 16)
    assert (third.energy, third.hit, third.area) == (pytest.approx(1), True, 1)

    summary = summarize_pointing([first, second, third])
    assert next(iter(summary)) == "all"
    assert summary["all"].energy.value == pytest.approx((3 / 8 + 1 / 4 + 1) / 3)
    assert summary["all"].chance == pytest.approx((1 / 32 + 1 / 16 + 1) / 3)


def test_value_an_image_without_positive_evidence_has_no_energy(
    model: AGNet, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = np.full((4, 4), -1.0)
    cells[3, 3] = -0.5

    def planted(*arguments: object, **options: object) -> object:
        shown = explain(*arguments, **options)  # type: ignore[arg-type]
        height, width = shown.image.shape[:2]
        return replace(shown, cells=cells, frame=(0, 0, width, height))

    monkeypatch.setattr(pointing, "explain", planted)
    (found,) = point(model, [image], [{None: [(0.75, 0.75, 1, 1)]}])
    assert np.isnan(found.energy)
    assert found.hit

    other = found._replace(energy=0.4)
    summary = summarize_pointing([found, other])["all"]
    assert (summary.images, summary.energy.value, summary.pointing.value) == (2, 0.4, 1)
    assert np.isnan(summarize_pointing([found])["all"].energy.value)


def test_error_a_box_outside_its_image(model: AGNet, image: Path) -> None:
    with pytest.raises(DatasetError, match=r"a\.png: the box lies outside the image, which is"):
        point(model, [image], [{None: [(9000, 0, 9100, 1)]}])


def test_value_boxes_in_pixels_are_those_in_fractions(model: AGNet, image: Path) -> None:
    explanation = explain(model, block_image())
    height, width = explanation.image.shape[:2]
    same = (0.25, 0.5, 0.75, 1), (0.25 * width, 0.5 * height, 0.75 * width, height)
    fractions, pixels = (
        covered_by(explanation, [box_in_pixels(box, explanation.image, "it", "here")])
        for box in same
    )
    np.testing.assert_array_equal(fractions, pixels)
    assert 0 < pixels.mean() < 1
    (first,), (second,) = (point(model, [image], [{None: [box]}]) for box in same)
    assert first == second


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.png,none,0,0,1,1", "line 2: the network has no class 'none'"),
        ("a.png,,1,0,0,1", "line 2: a box must have"),
        ("a.png,,0,0,inf,1", "line 2: a box must have"),
        ("a.png,,x,0,0,1", "line 2: x0, y0, x1 and y1 must be numbers"),
    ],
)
def test_error_a_row_that_is_no_box(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(f"path,label,x0,y0,x1,y1\n{row}\n")
    with pytest.raises(DatasetError, match=said):
        read_boxes(path, ["ant"])
