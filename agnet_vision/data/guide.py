"""Training views cut around the regions of an image (ours).

Regions guide what is learned. A random crop shows any part of an image, and often none of what
tells its class. Here some of the crops of training are cut around one of the image's own regions
instead. Regions are known before the forward pass, so this costs nothing, and the network needs no
regions when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agnet_vision.bounds import check_bounds
from agnet_vision.data.preprocessing import ImageTransform
from agnet_vision.data.windows import View, Window, around, cut_out
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.regions.sources import LabeledPoints
from agnet_vision.structures import RGBImage

PADDING = (0.05, 0.3)  # around a region on each side, as a share of its own side


@dataclass(frozen=True)
class Guide:
    """Cutter of guided views out of training images.

    Args:
        proposer: makes the regions; its source may be a control.
        crop: probability that a view is cut around a region.
        transform: of what is cut out; see ``training_transform(..., cropped=True)``.

    Raises:
        ValueError: crop is out of bounds.
    """

    proposer: RegionProposer
    crop: float
    transform: ImageTransform

    def __post_init__(self) -> None:
        check_bounds(crop=self.crop)

    def __call__(self, image: RGBImage, points: LabeledPoints, *, seed: int) -> View | None:
        """Make a guided view, or none.

        By chance, or where the image has no region.

        Args:
            image: of any size.
            points: its labeled keypoints, in its pixels; the controls ignore them.
            seed: of all random choices.

        Returns:
            The input, and the matrix that takes points ``(x, y, 1)`` of the image to where they
            are in it.
        """
        # Streams of their own: from one, views that are cut at all would be flipped more often.
        window_seed, transform_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
        window = self.choose_window(points, (image.shape[1], image.shape[0]), seed=window_seed)
        if window is None:
            return None
        return cut_out(self.transform, image, window, seed=transform_seed)

    def choose_window(
        self, points: LabeledPoints, image_size: tuple[int, int], *, seed: int
    ) -> Window | None:
        """Choose what a view shows.

        All regions but the whole image are equally likely.
        """
        choice_seed, box_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
        generator = np.random.default_rng(choice_seed)
        if generator.random() >= self.crop:
            return None
        boxes, mask = self.proposer.draw_boxes([points], image_size, seeds=[box_seed])
        found = boxes[0, :-1][mask[0, :-1]]
        if not len(found):
            return None
        box = found[generator.integers(len(found))] * np.array([*image_size, *image_size])
        return around(box, image_size, padding=generator.uniform(*PADDING))
