"""``RegionProposer``, which finds the regions of images.

It finds them by keypoints, groups and boxes, or by a control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from agnet_vision.bounds import check_bounds
from agnet_vision.regions.grouping import Grouping
from agnet_vision.regions.keypoints import Detector
from agnet_vision.regions.sources import (
    SOURCES,
    ContentSeed,
    GridSource,
    KeypointSource,
    LabeledPoints,
)
from agnet_vision.structures import GrayOrRGBImage, Keypoints, Regions, num_regions

Source = Literal["keypoints", "grid", "random"]
REVISION = 1  # raise when detection or grouping changes its results: stored regions become stale


@dataclass(frozen=True)
class RegionProposer:
    """A finder of regions by keypoints, groups and boxes.

    It detects keypoints, groups them and draws the boxes. It is stateless, deterministic and
    picklable, and its fields are all there is to know about it.

    Args:
        source: ``"keypoints"`` (paper), or a control without them: ``"grid"`` or ``"random"``.
        detector: ``"sift"`` (paper), ``"orb"``, ``"akaze"`` or ``"dense"``.
        num_clusters: kappa, groups an image at most; 8 (paper).
        keep_fraction: share of the detected locations kept, strongest first; 0.5 (paper).
        max_side: pixels of the longer side at which detection runs; 320 (ours).
        grouping: ``"em"``, the batched mixtures (ours), or ``"sklearn"``, the textbook path.
        seed: of the k-means start and of random boxes; 0 (ours).

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

    def __call__(self, images: Sequence[GrayOrRGBImage]) -> Regions:
        """Propose the regions of images.

        Each image has ``kappa (kappa + 1) / 2 + 1`` slots.

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
        found = self.keypoints_many(images)
        drawn = [
            self.draw_boxes([points], image.shape[1::-1], seeds=[self.content_seed(image)])
            for image, points in zip(images, found, strict=True)
        ]
        if not drawn:
            slots = num_regions(self.num_clusters)
            return Regions(torch.zeros(0, slots, 4), torch.zeros(0, slots, dtype=torch.bool))
        boxes, mask = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        return Regions(torch.from_numpy(boxes), torch.from_numpy(mask))

    @property
    def needs_keypoints(self) -> bool:
        """Tell whether regions come from keypoints of the image.

        Such keypoints are worth storing.
        """
        return self._source.needs_keypoints

    def keypoints(self, image: GrayOrRGBImage) -> Keypoints:
        """Find and group the keypoints of one image.

        The controls have none.
        """
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
    ) -> tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]:
        """Draw the boxes of frames of one size.

        A loader needs them after an augmentation.

        Args:
            points: labeled points of each frame, in its pixels; the controls ignore them.
            image_size: ``(width, height)`` of the frames.
            seeds: one a frame, of random boxes.
            num_clusters: kappa of the slots, at least the proposer's own; None: the same.

        Returns:
            Boxes as fractions of width and height, and which slots hold one.
        """
        kappa = self.num_clusters if num_clusters is None else num_clusters
        return self._source.draw_boxes(points, image_size, seeds, kappa)

    def settings(self) -> dict[str, Any]:
        """Return all that decides the result, ready for JSON."""
        versions = {"agnet_regions": str(REVISION), "opencv": cv2.__version__}
        if self.grouping == "sklearn":
            import sklearn  # slow to import, and only this path needs it

            versions["scikit-learn"] = sklearn.__version__
        return {**asdict(self), "versions": versions}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> RegionProposer:
        """Make the proposer that ``settings()`` described.

        Versions are not compared.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        options = {name: value for name, value in dict(settings).items() if name != "versions"}
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(
                f"region settings must be among {', '.join(known)}, got {', '.join(unknown)}"
            )
        return cls(**options)

    @cached_property
    def _source(self) -> KeypointSource | GridSource:
        """Make what knows the rest about the source."""
        return SOURCES[self.source](self)

    def content_seed(self, image: GrayOrRGBImage) -> list[int]:
        """Make a seed from the image itself.

        The boxes of an image then do not depend on its place in a batch.
        """
        if self.needs_keypoints:
            return [self.seed]
        digest = blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        return [self.seed, int.from_bytes(digest, "little")]
