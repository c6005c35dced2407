"""Where regions come from: keypoints of the image (paper), or one of two controls.

A source does two things: find labeled keypoints in images, and draw the boxes of frames whose
labeled points are known. Between the two an augmentation may move the points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from agnet_vision.regions.boxes import boxes_of_images, grid_boxes, random_boxes, union_boxes
from agnet_vision.regions.grouping import Grouping, group_points
from agnet_vision.regions.keypoints import Detector, detect
from agnet_vision.structures import Keypoints

Image = UInt8[np.ndarray, "height width ..."]
Boxes = tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]


class LabeledPoints(Protocol):
    """What boxes are drawn from; ``Keypoints`` is one."""

    @property
    def xy(self) -> Float[np.ndarray, "points 2"]:
        """Return positions in pixels of the frame."""

    @property
    def group(self) -> Int[np.ndarray, " points"]:
        """Return the label of each point."""


class RegionSource(Protocol):
    """The two steps from images to boxes; ``RegionProposer`` describes their arguments."""

    needs_keypoints: bool

    def find_keypoints(self, images: Sequence[Image]) -> list[Keypoints]:
        """Find and group the keypoints of images."""

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[int | Sequence[int]],
        num_clusters: int,
    ) -> Boxes:
        """Draw the boxes of frames of one size."""


@dataclass(frozen=True)
class KeypointSource:
    """The paper's: tight boxes around groups of keypoints. Options as of ``RegionProposer``."""

    detector: Detector
    num_clusters: int
    keep_fraction: float
    max_side: int
    grouping: Grouping
    seed: int
    needs_keypoints = True

    def find_keypoints(self, images: Sequence[Image]) -> list[Keypoints]:
        """Detect, then group all images together."""
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
        seeds: Sequence[int | Sequence[int]],
        num_clusters: int,
    ) -> Boxes:
        """Draw around the points, wherever they are now."""
        owner = np.repeat(np.arange(len(points)), [len(one.xy) for one in points])
        xy = np.concatenate([np.zeros((0, 2), np.float32), *(one.xy for one in points)])
        group = np.concatenate([np.zeros(0, np.int64), *(one.group for one in points)])
        return boxes_of_images(xy, group, owner, len(points), image_size, num_clusters)


@dataclass(frozen=True)
class Control:
    """What the controls have in common: they look for no keypoints."""

    num_clusters: int
    needs_keypoints = False

    def find_keypoints(self, images: Sequence[Image]) -> list[Keypoints]:
        """Find none."""
        return [no_keypoints() for _ in images]


class GridSource(Control):
    """The control that ignores the image: equal cells of the frame."""

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[int | Sequence[int]],
        num_clusters: int,
    ) -> Boxes:
        """Draw the same cells in every frame."""
        cells, _ = grid_boxes(self.num_clusters)
        return _complete([cells[: self.num_clusters] for _ in points], num_clusters)


class RandomSource(Control):
    """The control with boxes thrown at random, others for every seed."""

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        seeds: Sequence[int | Sequence[int]],
        num_clusters: int,
    ) -> Boxes:
        """Throw boxes into every frame by its seed."""
        thrown = [random_boxes(self.num_clusters, np.random.default_rng(seed)) for seed in seeds]
        return _complete([boxes[: self.num_clusters] for boxes, _ in thrown], num_clusters)


def no_keypoints() -> Keypoints:
    """Return what there is where nothing was sought."""
    return Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def _complete(primary: Sequence[Float[np.ndarray, "groups 4"]], num_clusters: int) -> Boxes:
    """Complete the primary boxes of each frame to all slots of ``num_clusters`` groups."""
    boxes, mask = zip(*(union_boxes(boxes, num_clusters) for boxes in primary), strict=True)
    return np.stack(boxes), np.stack(mask)
