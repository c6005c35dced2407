"""Augmentation that moves an image and its keypoints together.

This is the only file that imports albumentations. Every step is affine, so where three corners of
the frame go tells where all points go: albumentations moves the corners, and the points follow by
one matrix product. Points go in and come out in the continuous coordinates of ``structures``.
albumentations puts the center of pixel (0, 0) at the origin, so the corners are shifted by half a
pixel before a step and back after it. Its resizing steps scale positions about the origin, which is
right without that shift. Points that leave the frame stay in the arrays:
``boxes_from_keypoints`` drops them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any

# albumentations asks the network for a newer release when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from agnet_vision.choices import Preset
from agnet_vision.data.preprocessing import (
    OPENCV_INTERPOLATIONS,
    Matrix,
    Normalization,
)
from agnet_vision.structures import RGBImage

RESIZES = (A.Resize, A.SmallestMaxSize, A.RandomResizedCrop)
ROTATION_DEGREES = 15  # paper
SCALE_RANGE = (0.85, 1.15)  # paper
MIN_CROP_AREA = 0.35  # ours: the usual 0.08 cuts away the small parts that tell classes apart
COLOR_STRENGTH = 0.3  # ours


class TrainingTransform:
    """Steps of albumentations in continuous coordinates, seeded at every call.

    Args:
        steps: steps that are affine in space (crop, resize, flip, rotate, scale, shear), or change
            colors alone.
        mean: mean of each channel, of values in [0, 1], as for ``Normalization``.
        std: standard deviation of each channel, likewise.
    """

    def __init__(
        self, steps: Sequence[A.BasicTransform], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.steps = list(steps)
        self.normalize = Normalization(mean, std)

    def __call__(
        self, image: RGBImage, *, seed: int = 0
    ) -> tuple[Float[Tensor, "3 out_height out_width"], Matrix]:
        """Transform one image; the same seed gives the same result on any worker."""
        height, width = image.shape[:2]
        # albumentations' own order: x, y, z, angle, scale.
        corners = np.zeros((3, 5), dtype=np.float32)
        corners[:, :2] = [(0, 0), (width, 0), (0, height)]

        # One stream for all steps. Seeded one by one they would draw the same numbers: flipped
        # would mean rotated.
        generators = np.random.default_rng(seed), random.Random(seed)
        data = {"image": image, "keypoints": corners}
        for step in self.steps:
            step.set_random_state(*generators)
            shift = 0.0 if isinstance(step, RESIZES) else 0.5
            data["keypoints"][:, :2] -= shift
            data = step(**data)
            data["keypoints"][:, :2] += shift

        start, right, down = data["keypoints"][:, :2].astype(np.float64)
        matrix = np.stack([(right - start) / width, (down - start) / height, start])
        return self.normalize(data["image"]), matrix


def training_transform(
    config: Mapping[str, Any],
    preset: Preset = "modern",
    *,
    crop_fraction: float = 0.875,
    horizontal_flip: bool = True,
    rotation_degrees: float = ROTATION_DEGREES,
    min_crop_area: float = MIN_CROP_AREA,
) -> TrainingTransform:
    """Build the augmentation of training images.

    Args:
        config: side, normalization and interpolation, as for ``EvaluationTransform``.
        preset: ``"modern"`` (ours): random resized crop, flip, rotation, color; ``"paper"``:
            squeeze to a square, rotate by up to 15 degrees, scale by 0.85 to 1.15, random crop of
            224 / 256, flip; ``"none"``: squeeze to the square, always the same.
        crop_fraction: side of the crop over side of the resized image; 0.875 (paper).
        horizontal_flip: whether half of the images are mirrored; off for classes that know left
            from right.
        rotation_degrees: largest rotation either way; 15 (paper), 180 where nothing has an upside.
        min_crop_area: least part of an image that a crop of ``"modern"`` shows; 0.35 (ours).
    """
    image_size, mean = config["input_size"][-1], config["mean"]
    mode = OPENCV_INTERPOLATIONS[config["interpolation"]]
    flip = [A.HorizontalFlip(p=0.5)] if horizontal_flip else []

    match preset:
        case "modern":
            zoom = A.RandomResizedCrop(
                (image_size, image_size),
                scale=(min_crop_area, 1.0),
                interpolation=mode,
                area_for_downscale="image",
            )
            kept = (1 - COLOR_STRENGTH, 1 + COLOR_STRENGTH)
            color = A.ColorJitter(kept, kept, kept, hue=(-0.03, 0.03), p=0.8)
            steps = [zoom, _affine(mean, rotation_degrees, 0.5), color, *flip]
        case "paper":
            resized = round(image_size / crop_fraction)
            # A crop of the whole costs as much as a real one.
            crop = [A.RandomCrop(image_size, image_size)] if resized > image_size else []
            steps = [_squeeze(resized, mode), _affine(mean, rotation_degrees, 1.0), *crop, *flip]
        case "none":
            steps = [_squeeze(image_size, mode)]
    return TrainingTransform(steps, mean, config["std"])


def _affine(mean: Sequence[float], rotation_degrees: float, probability: float) -> A.Affine:
    """Rotate and scale as the paper does.

    What is uncovered is filled with the mean color, which is zero when normalized. A mirrored
    border would look better, but albumentations then mirrors the keypoints, too.
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
