from __future__ import annotations

from pathlib import Path

import numpy as np

from agnet_vision.data.image import read_image
from agnet_vision.data.prepare.contact_sheet import draw_sheet
from agnet_vision.data.prepare.duplicates import DuplicatePair
from tests.data import miniatures


def test_value_both_images_side_by_side(tmp_path: Path) -> None:
    image = miniatures.write_image(tmp_path / "шмель.png")
    draw_sheet([DuplicatePair(image, image, 1.0)] * 30, tmp_path / "out" / "sheet.png")
    sheet = read_image(tmp_path / "out" / "sheet.png")
    left, right = sheet[8:168, 8:208], sheet[8:168, 216:416]
    assert left.std() > 20
    np.testing.assert_array_equal(left, right)
    assert sheet.shape[0] == 8 * (200 + 30 + 2 * 8)  # 24 pairs in three columns
