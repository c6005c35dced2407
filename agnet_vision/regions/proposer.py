"""``RegionProposer``: images to regions, by keypoints, groups and boxes, or by a control."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Protocol, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from agnet_vision.bounds import check_bounds
from agnet_vision.choices import Detector, Grouping, Source
from agnet_vision.regions.boxes import boxes_of_images, grid_boxes, random_boxes, union_boxes
from agnet_vision.regions.grouping import group_points
from agnet_vision.regions.keypoints import detect
from agnet_vision.structures import GrayOrRGBImage, Keypoints, Regions, num_regions

ContentSeed = int | Sequence[int]  # what numpy.random.default_rng takes
Boxes = tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]

# The sources without keypoints, each of which draws a frame's boxes by itself.
CONTROLS: Mapping[Source, Callable[[int, np.random.Generator], tuple[Any, Any]]] = {
    "grid": lambda num_clusters, _: grid_boxes(num_clusters),
    "random": random_boxes,
}
REVISION = 1  # raise when detection or grouping changes its results: stored regions become stale


class LabeledPoints(Protocol):
    """What boxes are drawn from, such as ``Keypoints``."""

    @property
    def xy(self) -> Float[np.ndarray, "points 2"]:
        """Positions in pixels of the frame."""

    @property
    def group(self) -> Int[np.ndarray, " points"]:
        """Label of each point."""


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
        return self.source not in CONTROLS

    def keypoints(self, image: GrayOrRGBImage) -> Keypoints:
        """Find and group the keypoints of one image; a control finds none."""
        return self.keypoints_many([image])[0]

    def keypoints_many(self, images: Sequence[GrayOrRGBImage]) -> list[Keypoints]:
        """Find and group the keypoints of many images.

        Each result is the one the image would get alone; grouping many at once is faster.
        """
        if not self.needs_keypoints:
            return [no_keypoints() for _ in images]

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
        *,
        seeds: Sequence[ContentSeed],
        num_clusters: int | None = None,
    ) -> Boxes:
        """Draw the boxes of frames of one size, such as a loader's after an augmentation.

        Args:
            points: labeled points of each frame, in its pixels; the controls ignore them.
            image_size: ``(width, height)`` of the frames.
            seeds: seed of each frame's random boxes, which also says how many frames there are.
            num_clusters: kappa of the slots, at least the proposer's own; None: the same.
        """
        kappa = self.num_clusters if num_clusters is None else num_clusters
        if self.needs_keypoints:
            owner = np.repeat(np.arange(len(points)), [len(one.xy) for one in points])
            xy = np.concatenate([np.zeros((0, 2), np.float32), *(one.xy for one in points)])
            group = np.concatenate([np.zeros(0, np.int64), *(one.group for one in points)])
            return boxes_of_images(xy, group, owner, len(points), image_size, kappa)

        draw = CONTROLS[self.source]
        drawn = [draw(self.num_clusters, np.random.default_rng(seed))[0] for seed in seeds]
        filled = [union_boxes(boxes[: self.num_clusters], kappa) for boxes in drawn]
        return np.stack([boxes for boxes, _ in filled]), np.stack([mask for _, mask in filled])

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


def no_keypoints() -> Keypoints:
    """Return the keypoints of an image that has none, or where none were looked for."""
    return Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
