"""The sources of regions: keypoints or one of two controls.

The paper's regions come from keypoints of the image. A source does two things: find labeled
keypoints in images, and draw the boxes of frames whose labeled points are known. Between the two an
augmentation may move the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from agnet_vision.regions.boxes import boxes_of_images, grid_boxes, random_boxes, union_boxes
from agnet_vision.regions.grouping import group_points
from agnet_vision.regions.keypoints import detect
from agnet_vision.structures import GrayOrRGBImage, Keypoints

if TYPE_CHECKING:
    from agnet_vision.regions.proposer import RegionProposer

ContentSeed = int | Sequence[int]
Boxes = tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]


class LabeledPoints(Protocol):
    """What boxes are drawn from, such as ``Keypoints``."""

    @property
    def xy(self) -> Float[np.ndarray, "points 2"]:
        """Return positions in pixels of the frame."""

    @property
    def group(self) -> Int[np.ndarray, " points"]:
        """Return the label of each point."""


class KeypointSource:
    """The paper's: tight boxes around groups of keypoints.

    Args:
        options: the proposer, which describes the arguments of both steps as well.
    """

    needs_keypoints = True

    def __init__(self, options: RegionProposer) -> None:
        self.options = options

    def find_keypoints(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Detect, then group all images together."""
        own = self.options
        found = [
            detect(image, own.detector, keep_fraction=own.keep_fraction, max_side=own.max_side)
            for image in images
        ]
        groups = group_points(
            [xy for xy, _ in found], own.num_clusters, method=own.grouping, seed=own.seed
        )
        return [
            Keypoints(xy, response, group)
            for (xy, response), group in zip(found, groups, strict=True)
        ]

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[ContentSeed],
        num_clusters: int,
    ) -> Boxes:
        """Draw around the points, wherever they are now.

        Args:
            points: labeled points of each frame, in its pixels.
            image_size: ``(width, height)`` of all frames.
            seeds: one a frame; not used.
            num_clusters: kappa of the slots.
        """
        owner = np.repeat(np.arange(len(points)), [len(one.xy) for one in points])
        xy = np.concatenate([np.zeros((0, 2), np.float32), *(one.xy for one in points)])
        group = np.concatenate([np.zeros(0, np.int64), *(one.group for one in points)])
        return boxes_of_images(xy, group, owner, len(points), image_size, num_clusters)


class GridSource:
    """The control that cuts any image into equal cells."""

    needs_keypoints = False

    def __init__(self, options: RegionProposer) -> None:
        self.num_clusters = options.num_clusters

    def find_keypoints(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Find none."""
        return [no_keypoints() for _ in images]

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[ContentSeed],
        num_clusters: int,
    ) -> Boxes:
        """Complete each frame's primary boxes to all slots.

        The slots are those of ``num_clusters`` groups.

        Args:
            points: not used.
            image_size: not used, for the boxes are fractions.
            seeds: one a frame; says how many frames there are.
            num_clusters: kappa of the slots, at least the source's own.
        """
        drawn = [union_boxes(self.primary_boxes(seed), num_clusters) for seed in seeds]
        boxes, mask = zip(*drawn, strict=True)
        return np.stack(boxes), np.stack(mask)

    def primary_boxes(self, seed: ContentSeed) -> Float[np.ndarray, "groups 4"]:
        """Return the same cells for every frame."""
        return grid_boxes(self.num_clusters)[0][: self.num_clusters]


class RandomSource(GridSource):
    """The control with boxes at random, others for every seed."""

    def primary_boxes(self, seed: ContentSeed) -> Float[np.ndarray, "groups 4"]:
        """Throw boxes into a frame by its seed."""
        thrown, _ = random_boxes(self.num_clusters, np.random.default_rng(seed))
        return thrown[: self.num_clusters]


# Source by its name; a new one is a class and a line here.
SOURCES: dict[str, type[KeypointSource | GridSource]] = {
    "keypoints": KeypointSource,
    "grid": GridSource,
    "random": RandomSource,
}


def no_keypoints() -> Keypoints:
    """Return what there is where nothing was looked for."""
    return Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
