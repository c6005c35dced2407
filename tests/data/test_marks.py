"""Marks: read from files, and moved with an image."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.marks import read_marks
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.data.transforms import training_transform
from agnet_vision.errors import DatasetError
from agnet_vision.structures import NO, YES
from tests.data.inputs import input_config

ROOT = Path("photos")
NAMES = ("ant/a.jpg", "ant/b.jpg", "bee/a.jpg")
TABLE = SampleTable("folder", ROOT, ("ant", "bee"), {"train": [Sample(ROOT / n, 0) for n in NAMES]})


def blank(width, height):
    """Create an image."""
    return np.zeros((height, width, 3), np.uint8)


def write_csv(folder, *lines):
    """Write a CSV of marks."""
    path = folder / "marks.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_value_csv_in_fractions_pixels_and_for_all_images(tmp_path):
    path = write_csv(
        tmp_path,
        "path,x0,y0,x1,y1,look",
        "ant/a.jpg,0.25,0.5,0.75,1,no",
        "ant\\a.jpg,20,10,40,20,yes",
        ",0.9,0.9,1,1,",
    )
    table = read_marks(path, TABLE)
    marks = table.of(ROOT / "ant/a.jpg", blank(200, 100))
    assert marks.look.tolist() == [NO, NO, YES]
    expected = [[180, 90, 200, 100], [50, 50, 150, 100], [20, 10, 40, 20]]
    np.testing.assert_allclose(marks.boxes, expected)
    assert table.of(ROOT / "bee/a.jpg", blank(10, 10)).look.tolist() == [NO, 0, 0]
    assert table.are_on(ROOT / "bee/a.jpg")


def test_value_boxes_of_every_image_need_no_path(tmp_path):
    table = read_marks(write_csv(tmp_path, "x0,y0,x1,y1", "0,0,0.2,0.1"), TABLE, look="yes")
    assert table.of(ROOT / "bee/a.jpg", blank(10, 10)).look.tolist() == [YES]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ant/c.jpg,0,0,1,1,no", "line 2: the dataset has no image 'ant/c.jpg'"),
        ("ant/a.jpg,0.5,0,0.5,1,no", "line 2: a box must have 0 <= x0 < x1"),
        ("ant/a.jpg,-1,0,0.5,1,no", "line 2: a box must have 0 <= x0 < x1"),
        ("ant/a.jpg,nan,0,0.5,1,no", "line 2: a box must have"),
        ("ant/a.jpg,left,0,0.5,1,no", "line 2: x0, y0, x1 and y1 must be numbers"),
        ("ant/a.jpg,0,0,1,1,maybe", "line 2: look must be no or yes, got 'maybe'"),
        ("ant/a.jpg,0,0,1", "line 2: it has no y1"),
    ],
)
def test_raises_for_a_wrong_line(tmp_path, line, message):
    with pytest.raises(DatasetError, match=message):
        read_marks(write_csv(tmp_path, "path,x0,y0,x1,y1,look", line), TABLE)


def test_raises_for_pixels_outside_the_image(tmp_path):
    table = read_marks(write_csv(tmp_path, "path,x0,y0,x1,y1", "ant/a.jpg,300,0,310,5"), TABLE)
    with pytest.raises(DatasetError, match=r"line 2: the box lies outside ant/a.jpg, which is"):
        table.of(ROOT / "ant/a.jpg", blank(200, 100))


def test_raises_without_marks(tmp_path):
    with pytest.raises(DatasetError, match="there is no "):
        read_marks(tmp_path / "no.csv", TABLE)
    with pytest.raises(DatasetError, match="has no mark"):
        read_marks(write_csv(tmp_path, "x0,y0,x1,y1"), TABLE)


def test_value_masks_become_the_boxes_of_their_parts(tmp_path):
    mask = np.zeros((10, 20), np.uint8)
    mask[0:2, 0:4] = mask[5:10, 10:20] = 255
    (tmp_path / "ant").mkdir()
    Image.fromarray(mask).save(tmp_path / "ant" / "a.png")
    marks = read_marks(tmp_path, TABLE).of(ROOT / "ant/a.jpg", blank(20, 10))
    np.testing.assert_allclose(marks.boxes, [[0, 0, 4, 2], [10, 5, 20, 10]])


def test_value_coco(tmp_path):
    pytest.importorskip("pycocotools")
    content = {
        "images": [{"id": 7, "file_name": "b.jpg", "width": 200, "height": 100}],
        "categories": [{"id": 1, "name": "ruler"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [20, 10, 180, 90]}],
    }
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    marks = read_marks(path, TABLE).of(ROOT / "ant/b.jpg", blank(400, 200))
    np.testing.assert_allclose(marks.boxes, [[40, 20, 400, 200]])

    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(DatasetError, match="not a COCO file"):
        read_marks(path, TABLE)


def test_value_marks_move_with_the_image(tmp_path):
    """A bright square stays inside its mark, whatever the augmentation does."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[30:60, 40:80] = 255
    table = read_marks(write_csv(tmp_path, "path,x0,y0,x1,y1", "ant/a.jpg,40,30,80,60"), TABLE)
    transform = training_transform(input_config(96))

    for seed in range(20):
        pixels, matrix = transform(image, seed=seed)
        moved = table.of(ROOT / "ant/a.jpg", image).moved(matrix, 96)
        x0, y0, x1, y1 = moved["mark_boxes"][0] * 96
        rows, columns = np.nonzero(pixels.mean(0).numpy() > 0.35)
        if len(rows):
            assert x0 - 1 <= columns.min()
            assert columns.max() <= x1
            assert y0 - 1 <= rows.min()
            assert rows.max() <= y1
