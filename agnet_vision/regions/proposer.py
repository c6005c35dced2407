"""``RegionProposer``: images to regions, by keypoints, groups and boxes, or by a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, get_args

import cv2
import numpy as np
import torch

from agnet_vision.bounds import check_bounds
from agnet_vision.regions.grouping import Grouping
from agnet_vision.regions.keypoints import Detector
from agnet_vision.regions.sources import (
    Boxes,
    ContentSeed,
    GridSource,
    KeypointSource,
    LabeledPoints,
    RandomSource,
    Source,
)
from agnet_vision.structures import GrayOrRGBImage, Keypoints, Regions, num_regions

REVISION = 1  # raise when detection or grouping changes its results: stored regions become stale


@dataclass(frozen=True)
class RegionProposer:
    """Finds the regions of images, always the same for an image.

    Args:
        source: ``"keypoints"`` (paper), or a control without them: ``"grid"`` or ``"random"``.
        detector: ``"sift"`` (paper), ``"orb"``, ``"akaze"`` or ``"dense"``.
        num_clusters: kappa, the largest number of groups per image; 8 (paper).
        keep_fraction: share of the detected locations kept, strongest first; 0.5 (paper).
        max_side: pixels of the longer side at which detection runs; 320 (ours).
        grouping: ``"em"``, the batched mixtures (ours), or ``"sklearn"``, the textbook path.
        seed: seed of the k-means start and of random boxes; 0 (ours).

    Raises:
        ValueError: an option is unknown or out of range.
    """

    source: Source = "keypoints"
    detector: Detector = "sift"
    num_clusters: int = 8
    keep_fraction: float = 0.5
    max_side: int = 320
    grouping: Grouping = "em"
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = asdict(self)
        for name, choices in (("source", Source), ("detector", Detector), ("grouping", Grouping)):
            if (value := numbers.pop(name)) not in get_args(choices):
                allowed = ", ".join(get_args(choices))
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
        check_bounds(**numbers)

    @cached_property
    def _source(self) -> KeypointSource | GridSource:
        match self.source:
            case "keypoints":
                return KeypointSource(
                    self.detector,
                    self.num_clusters,
                    self.keep_fraction,
                    self.max_side,
                    self.grouping,
                    self.seed,
                )
            case "grid":
                return GridSource(self.num_clusters)
            case "random":
                return RandomSource(self.num_clusters)

    def __call__(self, images: Sequence[GrayOrRGBImage]) -> Regions:
        """Propose the regions of images, ``kappa (kappa + 1) / 2 + 1`` slots per image.

        Args:
            images: 8-bit RGB images of any sizes; a list, not a single one.

        Raises:
            ValueError: a single image was given.
        """
        if isinstance(images, np.ndarray) and images.ndim < 4:
            raise ValueError(
                "images must be a sequence of (height, width, 3) arrays, "
                f"got one of shape {images.shape}; pass [image]"
            )

        drawn = [
            self.draw_boxes([points], image.shape[1::-1], seeds=[self.content_seed(image)])
            for image, points in zip(images, self.keypoints_many(images), strict=True)
        ]
        slots = num_regions(self.num_clusters)
        boxes = np.concatenate([np.zeros((0, slots, 4), np.float32), *(each for each, _ in drawn)])
        mask = np.concatenate([np.zeros((0, slots), bool), *(each for _, each in drawn)])
        return Regions(torch.from_numpy(boxes), torch.from_numpy(mask))

    @property
    def needs_keypoints(self) -> bool:
        """Whether regions come from keypoints, which are worth storing."""
        return self._source.needs_keypoints

    def keypoints(self, image: GrayOrRGBImage) -> Keypoints:
        """Find and group the keypoints of one image; a control finds none."""
        return self.keypoints_many([image])[0]

    def keypoints_many(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Find and group the keypoints of many images.

        Each result is the one the image would get alone; grouping many at once is faster.
        """
        return self._source.find_keypoints(images)

    def draw_boxes(
        self,
        points: Sequence[LabeledPoints],
        image_size: tuple[float, float],
        *,
        seeds: Sequence[ContentSeed],
        num_clusters: int | None = None,
    ) -> Boxes:
        """Draw the boxes of frames of one size, such as a loader's after an augmentation.

        Args:
            points: labeled points of each frame, in its pixels; the controls ignore them.
            image_size: ``(width, height)`` of the frames.
            seeds: seed of each frame's random boxes.
            num_clusters: kappa of the slots, at least the proposer's own; None: the same.
        """
        kappa = self.num_clusters if num_clusters is None else num_clusters
        return self._source.draw_boxes(points, image_size, seeds, kappa)

    def content_seed(self, image: GrayOrRGBImage) -> list[int]:
        """Make a frame's seed from the image itself, whatever its place in a batch."""
        if self.needs_keypoints:
            return [self.seed]
        digest = blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        return [self.seed, int.from_bytes(digest, "little")]

    def settings(self) -> dict[str, Any]:
        """Return all that decides the result, ready for JSON."""
        versions = {"agnet_regions": str(REVISION), "opencv": cv2.__version__}
        if self.grouping == "sklearn":
            import sklearn  # slow to import, and only this path needs it

            versions["scikit-learn"] = sklearn.__version__
        return {**asdict(self), "versions": versions}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> RegionProposer:
        """Make the proposer that ``settings()`` described; versions are not compared.

        Raises:
            ValueError: an option is out of range.
            TypeError: an option is unknown.
        """
        return cls(**{name: value for name, value in dict(settings).items() if name != "versions"})
