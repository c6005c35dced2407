"""Test-time augmentation: views of an image, whose answers are averaged.

Keypoints are found and grouped once, on the whole image; a view takes them along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from agnet_vision.data.preprocessing import CROP_FRACTION, evaluation_transform
from agnet_vision.data.windows import View, Window, around, cut_out
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.regions.sources import LabeledPoints
from agnet_vision.structures import RGBImage

TTA = Literal["none", "flip", "whole", "keypoints", "crops"]
COUNTS: Mapping[str, int] = {"none": 1, "flip": 2, "whole": 2, "keypoints": 2, "crops": 10}
# Ours, chosen on validation photographs: in x and in y, the middle 90 % of the keypoints.
MIDDLE = (0.05, 0.95)
PADDING = 0.05  # as a share of the side


class TestTimeViews:
    """Maker of the views of images for a network.

    Args:
        data_config: of the network; describes its frame.
        tta: ``"none"``: the view of evaluation alone; ``"flip"``: that and its mirror image;
            ``"whole"``: that and the whole image, squeezed to a square (of one longer than 20
            times its breadth, the middle); ``"keypoints"``: that and where most keypoints of the
            image lie, likewise; ``"crops"``: the four corners and the middle, each as large as
            evaluation crops, and each mirrored as well, ten in all.
        proposer: finds the keypoints.

    Raises:
        ValueError: there is no such augmentation, or keypoints are asked of a control, which has
            none.
    """

    __test__ = False  # pytest takes the name for that of a test

    def __init__(self, data_config: Mapping[str, Any], tta: TTA, proposer: RegionProposer) -> None:
        if tta not in get_args(TTA):
            raise ValueError(f"tta must be one of {', '.join(get_args(TTA))}, got {tta!r}")
        if tta == "keypoints" and not proposer.needs_keypoints:
            raise ValueError(
                f"tta='keypoints' needs regions from keypoints, got source={proposer.source!r}; "
                "take tta='flip'"
            )
        self.tta = tta
        self.proposer = proposer if tta == "keypoints" else None
        self.data_config = dict(data_config)
        self.transform = evaluation_transform(self.data_config)
        # A window is cut out of the image itself, so it is resized and not cropped again.
        whole = {**self.data_config, "crop_pct": 1.0, "crop_mode": "squash"}
        self.window_transform = evaluation_transform(whole)
        self.sees_whole = whole == {"crop_pct": CROP_FRACTION, **self.data_config}

    def __call__(self, image: RGBImage, points: LabeledPoints) -> list[View]:
        """Return the views of an image.

        The evaluation view comes first, except for ``crops``. Duplicates are left out.

        Args:
            image: of any size.
            points: its labeled keypoints, in its pixels.
        """
        size = (image.shape[1], image.shape[0])
        if self.tta == "crops":
            views = [self._cut(image, window) for window in self._windows(*size)]
            return [*views, *(mirror(view) for view in views)]
        view = self.transform(image)
        if self.tta == "flip":
            return [view, mirror(view)]
        if self.tta == "whole" and not self.sees_whole:
            return [view, self.window_transform(image)]
        if self.proposer is not None and len(points.xy):
            low, high = np.quantile(points.xy, MIDDLE, axis=0)
            window = around(np.concatenate([low, high]), size, padding=PADDING)
            return [view, self._cut(image, window)]
        return [view]

    def _cut(self, image: RGBImage, window: Window) -> View:
        return cut_out(self.window_transform, image, window)

    def _windows(self, width: int, height: int) -> list[Window]:
        """List what five crops show, in pixels of the image."""
        fraction = self.data_config.get("crop_pct", CROP_FRACTION)
        short = min(height, width)
        squeezed = self.data_config.get("crop_mode") == "squash"
        w, h = (max(1, round(fraction * (side if squeezed else short))) for side in (width, height))

        right, bottom = width - w, height - h
        corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
        # Where nothing is cropped they are one.
        return list(dict.fromkeys((x, y, x + w, y + h) for x, y in corners))


def mirror(view: View) -> View:
    """Mirror a view left to right."""
    pixels, matrix = view
    mirrored = matrix * [-1, 1]
    mirrored[2, 0] += pixels.shape[-1]
    return pixels.flip(-1), mirrored
