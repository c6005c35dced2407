"""Augmentation that moves an image and its keypoints together; the only file that knows albumentations.

Every step is affine, so where the corners of the frame go tells where all points go: albumentations moves the corners, and the
points follow by one matrix product. Points go in and come out in the continuous coordinates of ``structures``; albumentations
puts the centre of pixel (0, 0) at the origin, so the corners are shifted by half a pixel before a step and back after it. Its
resizing steps scale positions about the origin, which is right without that shift. Points that leave the frame stay in the
arrays: ``boxes_from_keypoints`` drops them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

# albumentations asks the network for a newer release when it is imported, unless it is told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Preset = Literal["modern", "paper", "none"]
PRESETS: tuple[str, ...] = ("modern", "paper", "none")
INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
RESIZES = (A.Resize, A.SmallestMaxSize, A.RandomResizedCrop)
CROP_FRACTION = 0.875  # paper: 224 of 256
ROTATION_DEGREES = 15  # paper
SCALE_RANGE = (0.85, 1.15)  # paper
MIN_CROP_AREA = 0.35  # ours: the usual 0.08 cuts away the small parts that tell classes apart
COLOUR_STRENGTH = 0.3  # ours


class Transform:
    """Steps of albumentations that speak continuous coordinates, end in a normalised tensor and take a seed a call.

    Args:
        steps: affine in space (crop, resize, flip, rotate, scale, shear), or of colour alone.
        mean: of the backbone's normalisation, per channel, of values in [0, 1].
        std: as ``mean``.
    """

    def __init__(
        self, steps: Sequence[A.BasicTransform], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.steps = list(steps)
        self.scale = (1 / (np.asarray(std) * 255)).astype(np.float32)
        self.offset = (-np.asarray(mean) / np.asarray(std)).astype(np.float32)

    def __call__(
        self, image: UInt8[np.ndarray, "height width 3"], *, seed: int = 0
    ) -> tuple[Float[Tensor, "3 out_height out_width"], Float[np.ndarray, "3 2"]]:
        """Transform one image; the matrix that comes with it takes points (x, y, 1) to where they are now.

        The same seed gives the same result on any worker.

        Raises:
            RuntimeError: a step bends the picture, so that no matrix says where its points are.
        """
        height, width = image.shape[:2]
        # albumentations' own order: x, y, z, angle, scale.
        corners = np.zeros((4, 5), dtype=np.float32)
        corners[:, :2] = [(0, 0), (width, 0), (0, height), (width, height)]
        # One stream for all steps. Seeded one by one they would draw the same numbers: flipped would mean rotated.
        generators = np.random.default_rng(seed), random.Random(seed)
        data = {"image": image, "keypoints": corners}
        for step in self.steps:
            step.set_random_state(*generators)
            shift = 0.0 if isinstance(step, RESIZES) else 0.5
            data["keypoints"][:, :2] -= shift
            data = step(**data)
            data["keypoints"][:, :2] += shift
        moved = data["keypoints"][:, :2].astype(np.float64)
        right, down = moved[1] - moved[0], moved[2] - moved[0]
        if np.abs(moved[3] - moved[0] - right - down).max() > 1e-3 * max(
            width, height
        ):  # the fourth corner closes it
            raise RuntimeError("the steps of a Transform must be affine; these bend the picture")
        matrix = np.stack([right / width, down / height, moved[0]])
        return self._normalise(data["image"]), matrix

    def _normalise(
        self, image: UInt8[np.ndarray, "height width 3"]
    ) -> Float[Tensor, "3 height width"]:
        """Scale and shift plane by plane: a tenth of the time of doing it on interleaved pixels."""
        planes = np.empty((3, *image.shape[:2]), dtype=np.float32)
        for plane, channel, scale, offset in zip(
            planes, cv2.split(image), self.scale, self.offset, strict=True
        ):
            np.multiply(channel, scale, out=plane)
            plane += offset
        return torch.from_numpy(planes)


def move_points(
    xy: Float[np.ndarray, "points 2"], matrix: Float[np.ndarray, "3 2"]
) -> Float[np.ndarray, "points 2"]:
    """Move points as a ``Transform`` moved their image, by its matrix."""
    return (xy @ matrix[:2] + matrix[2]).astype(np.float32)


def build_transform(
    train: bool,
    image_size: int,
    preset: Preset = "modern",
    *,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: str = "bilinear",
    crop_fraction: float = CROP_FRACTION,
    horizontal_flip: bool = True,
    rotation_degrees: float = ROTATION_DEGREES,
    min_crop_area: float = MIN_CROP_AREA,
) -> Transform:
    """Build the transform of training images, or of images to be evaluated.

    Args:
        train: with augmentation; otherwise resize and centre crop only.
        image_size: side of the network's square input in pixels.
        preset: ``"modern"`` (ours): random resized crop, flip, rotation, colour; ``"paper"``: squeeze to a square, rotate by
            up to 15 degrees, scale by 0.85 to 1.15, random crop of 224 / 256, flip; ``"none"``: squeeze to the square,
            always the same.
        mean: of the backbone's normalisation, per channel, of values in [0, 1].
        std: as ``mean``.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``; shrinking always averages areas.
        crop_fraction: side of the crop over side of the resized image; 0.875 (paper).
        horizontal_flip: mirror half of the training images; off for classes that know left from right.
        rotation_degrees: training images turn by up to this, either way; 15 (paper), 180 where nothing has an upside.
        min_crop_area: ``"modern"`` shows the network at least this part of an image; 0.35 (ours).

    Raises:
        ValueError: an option is unknown or out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f"augmentation preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}"
        )
    if image_size < 1 or not 0 < crop_fraction <= 1:
        raise ValueError(
            f"image_size must be >= 1 and crop_fraction in (0, 1], got {image_size} and {crop_fraction}"
        )
    if not 0 <= rotation_degrees <= 180 or not 0 < min_crop_area <= 1:
        raise ValueError(
            f"rotation_degrees must be in [0, 180] and min_crop_area in (0, 1], got {rotation_degrees} and {min_crop_area}"
        )
    resized = round(image_size / crop_fraction) if preset != "none" else image_size
    mode = INTERPOLATIONS[interpolation]
    flip = [A.HorizontalFlip(p=0.5)] if horizontal_flip else []
    match preset, train:
        case "modern", True:
            zoom = A.RandomResizedCrop(
                (image_size, image_size),
                scale=(min_crop_area, 1.0),
                interpolation=mode,
                area_for_downscale="image",
            )
            steps = [zoom, _affine(mean, rotation_degrees, 0.5), _colour(), *flip]
        case "paper", True:
            # A crop of the whole costs as much as a real one.
            crop = [A.RandomCrop(image_size, image_size)] if resized > image_size else []
            steps = [_squeeze(resized, mode), _affine(mean, rotation_degrees, 1.0), *crop, *flip]
        case "modern", False:
            shorter = A.SmallestMaxSize(resized, interpolation=mode, area_for_downscale="image")
            steps = [shorter, A.CenterCrop(image_size, image_size)]
        case _:
            steps = [_squeeze(resized, mode), A.CenterCrop(image_size, image_size)]
    return Transform(steps, mean, std)


def data_config(
    preset: Preset, image_size: int, crop_fraction: float = CROP_FRACTION
) -> dict[str, Any]:
    """Describe the evaluation transform of a preset in timm's words, so that it can travel with the weights."""
    squeezed = preset != "modern"
    return {
        "input_size": (3, image_size, image_size),
        "crop_pct": crop_fraction if preset != "none" else 1.0,
        "crop_mode": "squash" if squeezed else "center",
    }


def evaluation_transform(config: Mapping[str, Any]) -> Transform:
    """Build the transform that a model's ``data_config`` describes: what it was validated with.

    Args:
        config: timm's words: ``input_size`` (channels, height, width; square), ``mean``, ``std``, ``interpolation``,
            ``crop_pct``, and ``crop_mode``: ``"squash"`` or ``"center"``.
    """
    return build_transform(
        False,
        config["input_size"][-1],
        "paper" if config.get("crop_mode") == "squash" else "modern",
        mean=config["mean"],
        std=config["std"],
        interpolation=config.get("interpolation", "bilinear"),
        crop_fraction=config.get("crop_pct", CROP_FRACTION),
    )


def _colour() -> A.ColorJitter:
    """Change brightness, contrast and saturation of most images, and their hue a little."""
    strength = (1 - COLOUR_STRENGTH, 1 + COLOUR_STRENGTH)
    return A.ColorJitter(
        brightness=strength, contrast=strength, saturation=strength, hue=(-0.03, 0.03), p=0.8
    )


def _affine(mean: Sequence[float], rotation_degrees: float, probability: float) -> A.Affine:
    """Rotate and scale as the paper does; what comes in from outside is the mean colour, zero after normalisation.

    A mirrored border would look better, but albumentations then mirrors the keypoints, too.
    """
    fill = tuple(float(round(value * 255)) for value in mean)
    return A.Affine(
        rotate=(-rotation_degrees, rotation_degrees),
        scale=SCALE_RANGE,
        border_mode=cv2.BORDER_CONSTANT,
        fill=fill,
        p=probability,
    )


def _squeeze(side: int, mode: int) -> A.Resize:
    """Resize to a square, whatever the shape was."""
    return A.Resize(side, side, interpolation=mode, area_for_downscale="image")
