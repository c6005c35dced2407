"""Test-time augmentation: several views of an image, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from torch import Tensor

from agnet_vision.choices import TTA
from agnet_vision.data.preprocessing import EvaluationTransform, Matrix
from agnet_vision.structures import RGBImage

COUNTS: Mapping[str, int] = {"none": 1, "flip": 2, "whole": 2, "crops": 10}

# The network's input, and the matrix that takes points (x, y, 1) of the image to where they are.
View = tuple[Float[Tensor, "3 side side"], Matrix]


class TestTimeViews:
    """The views of an image that a network gets to see.

    Args:
        data_config: description of the network's input in timm's words.
        tta: ``"none"``: the view of evaluation alone; ``"flip"``: that and its mirror image;
            ``"whole"``: that and the whole image, squeezed to a square; ``"crops"``: the four
            corners and the middle, each as large as evaluation crops, and each mirrored as well.

    Raises:
        ValueError: there is no such augmentation.
    """

    __test__ = False  # pytest takes the name for that of a test

    def __init__(self, data_config: Mapping[str, Any], tta: TTA) -> None:
        if tta not in get_args(TTA):
            raise ValueError(f"tta must be one of {', '.join(get_args(TTA))}, got {tta!r}")

        # A window is cut out of the image itself, so it is resized and not cropped again.
        window_config = {**data_config, "crop_pct": 1.0, "crop_mode": "squash"}
        self.tta = tta
        self.data_config = data_config
        self.transform = EvaluationTransform(data_config)
        self.window_transform = EvaluationTransform(window_config)
        self.sees_whole = window_config == data_config

    def __call__(self, image: RGBImage) -> list[View]:
        """Return the views of an image, without duplicates.

        The view of evaluation comes first, except for ``crops``.
        """
        if self.tta == "crops":
            height, width = image.shape[:2]
            views = [self._cut(image, *corner) for corner in self._corners(width, height)]
            return [*views, *(mirror(view) for view in views)]

        view = self.transform(image)
        if self.tta == "flip":
            return [view, mirror(view)]
        if self.tta == "whole" and not self.sees_whole:
            return [view, self.window_transform(image)]
        return [view]

    def _cut(self, image: RGBImage, x0: int, y0: int, width: int, height: int) -> View:
        """Transform a window; the matrix moves points of the whole image."""
        window = np.ascontiguousarray(image[y0 : y0 + height, x0 : x0 + width])
        pixels, matrix = self.window_transform(window)
        shift = matrix[2] - np.array([x0, y0]) @ matrix[:2]
        return pixels, np.stack([*matrix[:2], shift])

    def _corners(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        """List the five crops as ``(x0, y0, width, height)`` in pixels of the image."""
        squash = self.data_config["crop_mode"] == "squash"
        sides = (width, height) if squash else (min(width, height),) * 2
        w, h = (max(1, round(self.data_config["crop_pct"] * side)) for side in sides)

        right, bottom = width - w, height - h
        starts = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
        return [(x, y, w, h) for x, y in dict.fromkeys(starts)]  # one where nothing is cropped


def mirror(view: View) -> View:
    """Mirror a view left to right."""
    pixels, matrix = view
    mirrored = matrix * [-1, 1]
    mirrored[2, 0] += pixels.shape[-1]
    return pixels.flip(-1), mirrored
