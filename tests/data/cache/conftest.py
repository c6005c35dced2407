"""The images whose keypoints are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.regions.test_keypoints import texture


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Write twelve images of different sizes, one without any keypoint."""
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / f"image é {index}.png" for index in range(12)]
    for index, path in enumerate(paths):
        Image.fromarray(
            texture(60 + 7 * index, 50, seed=index) if index else np.zeros((20, 20, 3), np.uint8)
        ).save(path)
    return paths
