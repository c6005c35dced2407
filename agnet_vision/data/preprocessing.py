"""An image to the network's input, as in evaluation: resized, cropped to its middle, normalized.

This needs NumPy, OpenCV and torch alone. Pixels are those of albumentations' Resize,
SmallestMaxSize and CenterCrop, bit by bit. Points follow by a matrix, in the continuous coordinates
of ``structures``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agnet_vision.bounds import check_bounds
from agnet_vision.choices import Preset, Shown
from agnet_vision.structures import RGBImage

# Ways to enlarge; shrinking always averages areas.
OPENCV_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
# Ours: of a longer image only the middle is enlarged. One of 1 x 65,535 pixels would take 13 GB.
MAX_ASPECT = 20
SIZE_STEP = 32  # ours: pixels; the stride of most backbones, so that no cell is cut

Matrix = Float[np.ndarray, "3 2"]


class Normalization:
    """8-bit pixels to a tensor of mean 0 and deviation 1.

    Args:
        mean: mean of each channel, of values in [0, 1].
        std: standard deviation of each channel, likewise.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.scale = (1 / (np.asarray(std) * 255)).astype(np.float32)
        self.offset = (-np.asarray(mean) / np.asarray(std)).astype(np.float32)

    def __call__(self, image: RGBImage) -> Float[Tensor, "3 height width"]:
        """Scale and shift plane by plane, which is ten times faster than all at once."""
        planes = np.empty((3, *image.shape[:2]), dtype=np.float32)
        channels = zip(planes, cv2.split(image), self.scale, self.offset, strict=True)
        for plane, channel, scale, offset in channels:
            np.multiply(channel, scale, out=plane)
            plane += offset
        return torch.from_numpy(planes)

    def undo(self, image: Float[Tensor, "3 height width"]) -> RGBImage:
        """Return the 8-bit pixels that were normalized."""
        values = (image.permute(1, 2, 0).numpy() - self.offset) / self.scale
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)


class ImageTransform(Protocol):
    """What turns an image into the network's input, in training and in evaluation."""

    normalize: Normalization

    def __call__(
        self, image: RGBImage, *, seed: int = 0
    ) -> tuple[Float[Tensor, "3 side side"], Matrix]:
        """Return the input, and the matrix that takes points ``(x, y, 1)`` to their places."""


class EvaluationTransform:
    """Resizing to one size and cropping the middle, as a model's ``data_config`` describes.

    Args:
        config: timm's words: ``input_size`` (channels, height, width; square), ``mean``, ``std``,
            ``interpolation``, ``crop_pct``, and ``crop_mode``: ``"squash"`` (squeeze to a square
            whatever the shape was) or ``"center"`` (keep the shape, resize the shorter side).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.image_size = config["input_size"][-1]
        self.resized = round(self.image_size / config["crop_pct"])
        self.squash = config["crop_mode"] == "squash"
        self.interpolation = OPENCV_INTERPOLATIONS[config["interpolation"]]
        self.normalize = Normalization(config["mean"], config["std"])

    def __call__(
        self, image: RGBImage, *, seed: int = 0
    ) -> tuple[Float[Tensor, "3 out_height out_width"], Matrix]:
        """Transform one image; the seed is ignored."""
        image, start = _cut_excess(image)
        height, width = image.shape[:2]
        new_height = new_width = self.resized
        if not self.squash:
            ratio = self.resized / min(height, width)
            new_height, new_width = round(height * ratio), round(width * ratio)
        # Of whole pixels, not the ratio asked for: that is off by up to half a pixel.
        scale = np.array([new_width / width, new_height / height])

        if (new_height, new_width) != (height, width):
            shrinks = new_height < height or new_width < width
            mode = cv2.INTER_AREA if shrinks else self.interpolation
            image = np.asarray(cv2.resize(image, (new_width, new_height), interpolation=mode))

        side = self.image_size
        left, top = (new_width - side) // 2, (new_height - side) // 2
        pixels = np.ascontiguousarray(image[top : top + side, left : left + side])
        shift = -start * scale - (left, top)
        return self.normalize(pixels), np.stack([[scale[0], 0.0], [0.0, scale[1]], shift])


def _cut_excess(image: RGBImage) -> tuple[RGBImage, Float[np.ndarray, " 2"]]:
    """Return the middle of a very long image, and where it starts."""
    height, width = image.shape[:2]
    longest = MAX_ASPECT * min(height, width)
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    kept = image[top : top + min(height, longest), left : left + min(width, longest)]
    return kept, np.array([left, top], dtype=np.float64)


def move_points(xy: Float[np.ndarray, "points 2"], matrix: Matrix) -> Float[np.ndarray, "points 2"]:
    """Move points, in pixels of an image, by the matrix of the image's transform."""
    return (xy @ matrix[:2] + matrix[2]).astype(np.float32)


def data_config(
    preset: Preset, image_size: int, *, view: Shown, crop_fraction: float, test_scale: float
) -> dict[str, Any]:
    """Describe validation and test in timm's words, as they travel with the weights.

    Args:
        preset: kind of augmentation; ``"modern"`` keeps shapes, the others squeeze to a square.
        image_size: side of the training images in pixels.
        view: part of an image that is shown: the ``"crop"`` in its middle, or the ``"whole"``.
        crop_fraction: side of the crop over side of the resized image.
        test_scale: side of the input over ``image_size``; the product is rounded to a multiple of
            ``SIZE_STEP``, but for a scale of 1.

    Raises:
        ValueError: the input would be too large.
    """
    side = image_size
    if test_scale != 1:
        side = max(1, round(test_scale * image_size / SIZE_STEP)) * SIZE_STEP
    check_bounds(input_size=side)

    crop = {
        "input_size": (3, side, side),
        "crop_pct": crop_fraction,
        "crop_mode": "center" if preset == "modern" else "squash",
    }
    return crop if view == "crop" else change_view(crop, view=view)


def change_view(
    config: Mapping[str, Any], *, image_size: int | None = None, view: Shown | None = None
) -> dict[str, Any]:
    """Describe another size or view of the same images.

    Args:
        config: description of a network's input in timm's words.
        image_size: side of the input in pixels; None: as before.
        view: ``"crop"``: the shape is kept, and the middle cut by ``crop_pct``; ``"whole"``: all
            of the image, squeezed to a square; None: as before.
    """
    changed = dict(config)
    if image_size is not None:
        changed["input_size"] = (config["input_size"][0], image_size, image_size)
    if view == "crop":
        changed["crop_mode"] = "center"
    if view == "whole":
        changed |= {"crop_mode": "squash", "crop_pct": 1.0}
    return changed
