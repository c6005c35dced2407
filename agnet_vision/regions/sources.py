"""The sources of regions: the paper's keypoints, or one of two controls without them.

A source does two things: it finds labeled keypoints in images, and it draws the boxes of frames
whose labeled points are known. Between the two an augmentation may move the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from agnet_vision.regions.boxes import boxes_of_images, grid_boxes, random_boxes, union_boxes
from agnet_vision.regions.grouping import Grouping, group_points
from agnet_vision.regions.keypoints import Detector, detect
from agnet_vision.structures import GrayOrRGBImage, Keypoints

Source = Literal["keypoints", "grid", "random"]
ContentSeed = int | Sequence[int]  # what numpy.random.default_rng takes
Boxes = tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]


class LabeledPoints(Protocol):
    """What boxes are drawn from, such as ``Keypoints``."""

    @property
    def xy(self) -> Float[np.ndarray, "points 2"]:
        """Positions in pixels of the frame."""

    @property
    def group(self) -> Int[np.ndarray, " points"]:
        """Label of each point."""


@dataclass(frozen=True)
class KeypointSource:
    """The paper's source: tight boxes around groups of keypoints."""

    needs_keypoints: ClassVar[bool] = True
    detector: Detector
    num_clusters: int
    keep_fraction: float
    max_side: int
    grouping: Grouping
    seed: int

    def find_keypoints(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Detect the keypoints of each image, then group those of all images together."""
        found = [
            detect(image, self.detector, keep_fraction=self.keep_fraction, max_side=self.max_side)
            for image in images
        ]
        groups = group_points(
            [xy for xy, _ in found], self.num_clusters, method=self.grouping, seed=self.seed
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
        """Draw boxes around the points of each frame; ``seeds`` plays no part."""
        owner = np.repeat(np.arange(len(points)), [len(one.xy) for one in points])
        xy = np.concatenate([np.zeros((0, 2), np.float32), *(one.xy for one in points)])
        group = np.concatenate([np.zeros(0, np.int64), *(one.group for one in points)])
        return boxes_of_images(xy, group, owner, len(points), image_size, num_clusters)


@dataclass(frozen=True)
class GridSource:
    """The control that cuts any image into ``num_clusters`` equal cells."""

    needs_keypoints: ClassVar[bool] = False
    num_clusters: int

    def find_keypoints(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Find no keypoints in any image."""
        return [no_keypoints() for _ in images]

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[ContentSeed],
        num_clusters: int,
    ) -> Boxes:
        """Fill the slots of one frame per seed, whatever its points and size."""
        drawn = [union_boxes(self.primary_boxes(seed), num_clusters) for seed in seeds]
        boxes, mask = zip(*drawn, strict=True)
        return np.stack(boxes), np.stack(mask)

    def primary_boxes(self, seed: ContentSeed) -> Float[np.ndarray, "groups 4"]:
        """Return the cells, which are the same in every frame."""
        return grid_boxes(self.num_clusters)[0][: self.num_clusters]


class RandomSource(GridSource):
    """The control that throws boxes at random into each frame."""

    def primary_boxes(self, seed: ContentSeed) -> Float[np.ndarray, "groups 4"]:
        """Throw the boxes that belong to a seed."""
        boxes, _ = random_boxes(self.num_clusters, np.random.default_rng(seed))
        return boxes[: self.num_clusters]


def no_keypoints() -> Keypoints:
    """Return the keypoints of an image that has none, or where none were looked for."""
    return Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
