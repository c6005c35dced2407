"""Test-time augmentation: several views of an image, whose answers are averaged.

Keypoints are found and grouped once, on the whole image; a view takes them along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from agnet_vision.data.preprocessing import CROP_FRACTION, evaluation_transform
from agnet_vision.explain.prepared import Image, Preparation, PreparedImage
from agnet_vision.models.agnet import AGNet
from agnet_vision.structures import Keypoints

Augmentation = Literal["none", "flip", "crops"]
Window = tuple[int, int, int, int]


class ViewMaker:
    """Makes the views of images for a network.

    Args:
        model: its ``data_config`` describes the frame.
        augmentation: ``"none"``: the view of evaluation alone; ``"flip"``: that and its mirror
            image; ``"crops"``: the four corners and the middle, each as large as evaluation crops
            and each mirrored as well, ten in all.

    Raises:
        ValueError: the augmentation is unknown.
    """

    def __init__(self, model: AGNet, augmentation: Augmentation = "none") -> None:
        if augmentation not in get_args(Augmentation):
            choices = ", ".join(get_args(Augmentation))
            raise ValueError(f"augmentation must be one of {choices}, got {augmentation!r}")
        self.augmentation = augmentation
        self.preparation = Preparation(model)
        # A window is cut out of the image itself, so it is resized and not cropped again.
        self.whole = evaluation_transform({**self.preparation.data_config, "crop_pct": 1.0})

    def __call__(self, images: Sequence[Image]) -> list[list[PreparedImage]]:
        """Return the views of each image."""
        if self.augmentation == "none":
            return [[prepared] for prepared in self.preparation(images)]
        found = self.preparation.proposer.keypoints_many(images)
        return [self._views(*pair) for pair in zip(images, found, strict=True)]

    def _views(self, image: Image, keypoints: Keypoints) -> list[PreparedImage]:
        if self.augmentation == "flip":
            pairs = [(image, keypoints), mirror(image, keypoints)]
            return [self.preparation.place(*pair) for pair in pairs]
        cut = [cut_out(image, keypoints, window) for window in self._windows(image)]
        mirrored = [mirror(*pair) for pair in cut]
        return [self.preparation.place(*pair, transform=self.whole) for pair in [*cut, *mirrored]]

    def _windows(self, image: Image) -> list[Window]:
        """List what five crops of the resized image show, in pixels of the image itself."""
        height, width = image.shape[:2]
        config = self.preparation.data_config
        fraction = config.get("crop_pct", CROP_FRACTION)
        short = min(height, width)
        squeezed = config.get("crop_mode") == "squash"
        w, h = (max(1, round(fraction * (side if squeezed else short))) for side in (width, height))

        right, bottom = width - w, height - h
        corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
        # Where nothing is cropped they are one.
        return list(dict.fromkeys((x, y, x + w, y + h) for x, y in corners))


def mirror(image: Image, keypoints: Keypoints) -> tuple[Image, Keypoints]:
    """Mirror an image left to right, with its keypoints."""
    width = image.shape[1]
    xy = keypoints.xy * np.array([-1, 1], np.float32) + np.array([width, 0], np.float32)
    return np.ascontiguousarray(image[:, ::-1]), keypoints._replace(xy=xy)


def cut_out(image: Image, keypoints: Keypoints, window: Window) -> tuple[Image, Keypoints]:
    """Cut a window out of an image, with its keypoints; those outside it fall out of the frame."""
    x0, y0, x1, y1 = window
    xy = keypoints.xy - np.array([x0, y0], np.float32)
    return np.ascontiguousarray(image[y0:y1, x0:x1]), keypoints._replace(xy=xy)
