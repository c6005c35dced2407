"""Shared by all rooms: inputs of the head, an image, and a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet_vision.structures import Regions, RGBImage, num_regions


def random_regions(batch: int, num_clusters: int, *, seed: int = 0, masked: int = 0) -> Regions:
    """Draw boxes of positive area, the whole image last; the first ``masked`` slots are empty."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(batch, num_regions(num_clusters), 2, 2, generator=generator)
    boxes = torch.cat([corners.amin(2), corners.amax(2)], dim=-1)
    boxes[:, -1] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    mask = torch.ones(boxes.shape[:2], dtype=torch.bool)
    mask[0, :masked] = False
    return Regions(boxes * mask[..., None], mask)


def block_image(seed: int = 0, height: int = 90, width: int = 140) -> RGBImage:
    """Draw an image of colored blocks, whose corners are keypoints."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (height // 5, width // 5, 3), dtype=np.uint8)
    return blocks.repeat(5, 0).repeat(5, 1)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of five images of different sizes, a text that says it is one, and another file."""
    root = tmp_path_factory.mktemp("images")
    for number in range(5):
        Image.fromarray(block_image(number, 60 + 10 * number, 100)).save(root / f"{number}.png")
    (root / "3b.jpg").write_text("not an image")
    (root / "notes.txt").write_text("left out")
    return root


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute on one thread: matrices are small here, and the processes share the cores."""
    torch.set_num_threads(1)
