"""``RegionProposer``: images to regions by keypoints, groups and boxes, or by a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from agnet_vision.regions import grouping as mixtures
from agnet_vision.regions import keypoints as detection
from agnet_vision.regions.boxes import boxes_from_keypoints, grid_boxes, random_boxes
from agnet_vision.regions.grouping import Grouping, group_points
from agnet_vision.regions.keypoints import Detector, detect
from agnet_vision.structures import Keypoints, Regions, num_regions

Source = Literal["keypoints", "grid", "random"]
Image = UInt8[np.ndarray, "height width ..."]
REVISION = 1  # raise when detection or grouping changes its results: stored regions become stale


class RegionProposer:
    """Images to regions: detect keypoints, group them, draw the boxes. Picklable, stateless, deterministic.

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

    def __init__(
        self,
        source: Source = "keypoints",
        detector: Detector = "sift",
        num_clusters: int = 8,
        keep_fraction: float = 0.5,
        max_side: int = 320,
        grouping: Grouping = "em",
        seed: int = 0,
    ) -> None:
        if source not in get_args(Source):
            raise ValueError(f"source must be one of {', '.join(get_args(Source))}, got {source!r}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        detection.check_options(detector, keep_fraction, max_side)
        mixtures.check_options(num_clusters, grouping)
        self.source, self.detector, self.num_clusters = source, detector, num_clusters
        self.keep_fraction, self.max_side, self.grouping, self.seed = (
            keep_fraction,
            max_side,
            grouping,
            seed,
        )

    def __call__(self, images: Sequence[Image]) -> Regions:
        """Propose the regions of 8-bit RGB images of any sizes, ``kappa (kappa + 1) / 2 + 1`` slots an image."""
        if isinstance(images, np.ndarray) and images.ndim < 4:
            raise ValueError(
                f"images must be a sequence of (height, width, 3) arrays, got one of shape {images.shape}; pass [image]"
            )
        match self.source:
            case "keypoints":
                pairs = [
                    boxes_from_keypoints(
                        points.xy, points.group, image.shape[1::-1], self.num_clusters
                    )
                    for image, points in zip(images, self.keypoints_many(images), strict=True)
                ]
            case "grid":
                pairs = [grid_boxes(self.num_clusters) for _ in images]
            case "random":
                pairs = [
                    random_boxes(self.num_clusters, self._content_rng(image)) for image in images
                ]
        if not pairs:
            slots = num_regions(self.num_clusters)
            return Regions(torch.zeros(0, slots, 4), torch.zeros(0, slots, dtype=torch.bool))
        boxes, masks = zip(*pairs, strict=True)
        return Regions(torch.from_numpy(np.stack(boxes)), torch.from_numpy(np.stack(masks)))

    def keypoints(self, image: Image) -> Keypoints:
        """Find and group the keypoints of one image; none for the controls."""
        return self.keypoints_many([image])[0]

    def keypoints_many(self, images: Sequence[Image]) -> list[Keypoints]:
        """Find and group the keypoints of many images; each result is the one the image would get alone."""
        if self.source != "keypoints":
            return [
                Keypoints(
                    np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
                )
                for _ in images
            ]
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

    def settings(self) -> dict[str, Any]:
        """Return all options and the versions that decide the result, ready for JSON: equal settings, equal regions."""
        options = {name: getattr(self, name) for name in _OPTIONS}
        versions = {"agnet_regions": str(REVISION), "opencv": cv2.__version__}
        if self.grouping == "sklearn":
            import sklearn  # slow to import, and only this path needs it

            versions["scikit-learn"] = sklearn.__version__
        return {**options, "versions": versions}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> RegionProposer:
        """Make the proposer that ``settings()`` described; versions are not checked, unknown options are refused."""
        options = {name: value for name, value in settings.items() if name != "versions"}
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise ValueError(
                f"region settings must be among {', '.join(_OPTIONS)}, got {', '.join(unknown)}"
            )
        return cls(**options)

    def __repr__(self) -> str:
        return (
            f"RegionProposer({', '.join(f'{name}={getattr(self, name)!r}' for name in _OPTIONS)})"
        )

    def _content_rng(self, image: Image) -> np.random.Generator:
        """Seed from the image itself, so that its boxes do not depend on its place in a batch."""
        digest = blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest, "little")])


_OPTIONS = ("source", "detector", "num_clusters", "keep_fraction", "max_side", "grouping", "seed")
