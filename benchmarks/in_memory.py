"""Images that are decoded once, into a device's memory, and augmented there with their regions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from agnet_vision.data.cache.store import RegionCache, StoredKeypoints
from agnet_vision.data.image import read_image
from agnet_vision.data.sources.listing import Sample
from agnet_vision.models.agnet import AGNet
from agnet_vision.structures import Regions

Matrices = Float[np.ndarray, "batch 2 3"]
Batch = tuple[Tensor, Regions, Tensor]  # pixels, regions, labels


class Images(NamedTuple):
    """Images squeezed to squares, their labels, and their points as fractions."""

    pixels: Tensor
    labels: Tensor
    points: list[StoredKeypoints]

    def view(self, chosen: Int[np.ndarray, " batch"], matrices: Matrices, model: AGNet) -> Batch:
        """Show images as a network sees them, with the regions of their moved points.

        Args:
            matrices: where in the image a place of the view is, both from -1 to 1.
        """
        device, side = self.pixels.device, model.data_config["input_size"][-1]
        numbers = torch.as_tensor(chosen, device=device)
        mean, std = (
            torch.tensor(model.data_config[name], device=device)[:, None, None] * 255
            for name in ("mean", "std")
        )
        theta = torch.from_numpy(matrices).float().to(device)
        grid = affine_grid(theta, [len(chosen), 3, side, side], align_corners=False)
        # Outside is zero, the mean color.
        pixels = grid_sample((self.pixels[numbers] - mean) / std, grid, align_corners=False)

        moved = []
        for number, matrix in zip(chosen, matrices, strict=True):
            xy, group = self.points[number]
            places = np.linalg.solve(matrix[:, :2], (2 * xy - 1 - matrix[:, 2]).T).T
            moved.append(StoredKeypoints(((places + 1) / 2 * side).astype(np.float32), group))
        drawn = model.proposer.draw_boxes(moved, (side, side), seeds=[[0]] * len(moved))
        regions = Regions(*map(torch.from_numpy, drawn)).to(device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels, regions, self.labels[numbers]

    def middles(self, fraction: float, model: AGNet, batch: int = 256) -> list[Batch]:
        """Show the middle of all images, as in evaluation."""
        matrix = np.eye(2, 3) * fraction
        parts = np.array_split(np.arange(len(self.labels)), -(-len(self.labels) // batch))
        return [self.view(part, np.stack([matrix] * len(part)), model) for part in parts]


def decode(
    samples: Sequence[Sample], cache: RegionCache, side: int, device: torch.device
) -> Images:
    """Read images into the device's memory."""
    squares, points = [], []
    with ThreadPoolExecutor() as pool:
        images = pool.map(read_image, [sample.path for sample in samples])
        for sample, image in zip(samples, images, strict=True):
            squares.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
            xy, group = cache[sample.path]
            points.append(StoredKeypoints(xy / image.shape[1::-1], group))

    pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).to(device)
    labels = torch.tensor([sample.label for sample in samples]).to(device)
    return Images(pixels, labels, points)


def random_views(count: int, fraction: float, rng: np.random.Generator) -> Matrices:
    """Rotate, scale, crop and mirror as ``augmentation.preset=paper`` does."""
    angle = np.radians(rng.uniform(-15, 15, count))
    zoom = fraction / rng.uniform(0.85, 1.15, count)
    mirror = rng.choice((-1, 1), count)
    x, y = rng.uniform(fraction - 1, 1 - fraction, (2, count))
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    return np.array([[mirror * cos, -sin, x], [mirror * sin, cos, y]]).transpose(2, 0, 1)
