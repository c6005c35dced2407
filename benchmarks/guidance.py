"""Training views that regions guide: ideas of the benchmark ``ideas``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.guide import PADDING, Guide
from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import ImageTransform, Matrix, RGBImage, move_points
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.windows import View, around, cut_out
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.regions.sources import LabeledPoints
from agnet_vision.structures import Keypoints

SHARE = 0.4  # of the training views that an idea changes


class Source(NamedTuple):
    """What an idea makes its views from."""

    samples: Sequence[Sample]
    keypoints: RegionCache
    plain: ImageTransform
    cropped: ImageTransform
    regions: RegionProposer  # of the image's keypoints
    random_boxes: RegionProposer

    def load(self, number: int) -> tuple[RGBImage, Keypoints]:
        """Read an image and its keypoints."""
        path = self.samples[number].path
        return read_image(path), self.keypoints[path]


class Idea:
    """Maker of training views; this one is plain training."""

    views = 1

    def __init__(self, source: Source) -> None:
        self.source = source

    def __call__(self, number: int, rng: np.random.Generator) -> list[View]:
        """Return the views of a sample."""
        image, points = self.source.load(number)
        return [self.change(self.plain(image, rng), points, number, rng)]

    def plain(self, image: RGBImage, rng: np.random.Generator) -> View:
        """Return a random crop."""
        return self.source.plain(image, seed=draw_seed(rng))

    def change(self, view: View, points: Keypoints, number: int, rng: np.random.Generator) -> View:
        """Change a view."""
        return view

    def learn(
        self, numbers: Sequence[int], views: Sequence[Matrix], evidence: Float[Tensor, "batch h w"]
    ) -> None:
        """Learn from what the network saw in views."""


class Crop(Idea):
    """Cuts some of the views around a region: ``guide.crop``."""

    def __call__(self, number: int, rng: np.random.Generator) -> list[View]:
        """Cut some views."""
        image, points = self.source.load(number)
        return [self.guided(image, points, SHARE, rng) or self.plain(image, rng)]

    def guided(
        self, image: RGBImage, points: LabeledPoints, share: float, rng: np.random.Generator
    ) -> View | None:
        """Cut a view around a region, or none."""
        guide = Guide(self.proposer, share, self.source.cropped)
        return guide(image, points, seed=draw_seed(rng))

    @property
    def proposer(self) -> RegionProposer:
        """Return what makes the regions."""
        return self.source.regions


class RandomCrop(Crop):
    """The control of ``Crop``: boxes at random."""

    @property
    def proposer(self) -> RegionProposer:
        """Return what throws boxes."""
        return self.source.random_boxes


class Add(Crop):
    """A guided view beside every plain one."""

    views = 2

    def __call__(self, number: int, rng: np.random.Generator) -> list[View]:
        """Return both views."""
        image, points = self.source.load(number)
        plain = self.plain(image, rng)
        return [plain, self.guided(image, points, 1.0, rng) or self.plain(image, rng)]


class Importance(Crop):
    """Cuts around regions that are evidence for the class."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.weights: dict[int, np.ndarray] = {}

    def __call__(self, number: int, rng: np.random.Generator) -> list[View]:
        """Cut some views."""
        image, points = self.source.load(number)
        size = (image.shape[1], image.shape[0])
        boxes, mask = self.source.regions.draw_boxes([points], size, seeds=[0])
        found = boxes[0, :-1][mask[0, :-1]]
        if rng.random() >= SHARE or not len(found):
            return [self.plain(image, rng)]
        weights = self.weights.get(number, np.zeros(len(found)))
        chance = np.exp(weights - weights.max())
        box = found[rng.choice(len(found), p=chance / chance.sum())] * np.array([*size, *size])
        window = around(box, size, padding=rng.uniform(*PADDING))
        return [cut_out(self.source.cropped, image, window, seed=draw_seed(rng))]

    def learn(
        self, numbers: Sequence[int], views: Sequence[Matrix], evidence: Float[Tensor, "batch h w"]
    ) -> None:
        """Keep each region's evidence in the map's deviations."""
        for number, matrix, one in zip(numbers, views, evidence.numpy(), strict=True):
            image, points = self.source.load(number)
            size = (image.shape[1], image.shape[0])
            boxes, mask = self.source.regions.draw_boxes([points], size, seeds=[0])
            found = boxes[0, :-1][mask[0, :-1]] * np.array([*size, *size])
            means = self.weights.get(number, np.zeros(len(found)))
            cells = (one - one.mean()) / (one.std() + 1e-6)
            side = len(cells)
            for i, corners in enumerate(found.reshape(-1, 2, 2)):
                moved = move_points(corners, matrix) / IMAGE_SIZE * side
                (x0, y0), (x1, y1) = (
                    moved.min(axis=0).clip(0, side),
                    moved.max(axis=0).clip(0, side),
                )
                if x1 > x0 and y1 > y0:
                    region = cells[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
                    means[i] = region.mean()
            self.weights[number] = means


class Drop(Idea):
    """Blanks a region of some of the views."""

    def change(self, view: View, points: Keypoints, number: int, rng: np.random.Generator) -> View:
        """Blank one of the regions of a single group."""
        box = self.choose(view, points, rng)
        if box is not None:
            x0, y0, x1, y1 = box
            view[0][:, y0:y1, x0:x1] = self.filling(number, (x1 - x0, y1 - y0), rng)
        return view

    def choose(
        self, view: View, points: Keypoints, rng: np.random.Generator
    ) -> tuple[int, int, int, int] | None:
        """Choose a single group's region, in the view's pixels."""
        if rng.random() >= SHARE:
            return None
        pixels, matrix = view
        side = pixels.shape[-1]
        moved = Keypoints(move_points(points.xy, matrix), points.response, points.group)
        boxes, mask = self.proposer.draw_boxes([moved], (side, side), seeds=[draw_seed(rng)])
        kappa = self.proposer.num_clusters
        found = boxes[0, :kappa][mask[0, :kappa]]
        if not len(found):
            return None
        x0, y0, x1, y1 = np.rint(found[rng.integers(len(found))] * side).astype(int).tolist()
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    @property
    def proposer(self) -> RegionProposer:
        """Return what makes the regions."""
        return self.source.regions

    def filling(self, number: int, size: tuple[int, int], rng: np.random.Generator) -> Any:
        """Return the filling; 0 is the mean color."""
        return 0.0


class RandomDrop(Drop):
    """The control of ``Drop``: boxes at random."""

    @property
    def proposer(self) -> RegionProposer:
        """Return what throws boxes."""
        return self.source.random_boxes


class Exchange(Drop):
    """Fills a region with another of the class."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.members: dict[int, list[int]] = {}
        for number, sample in enumerate(source.samples):
            self.members.setdefault(sample.label, []).append(number)

    def filling(self, number: int, size: tuple[int, int], rng: np.random.Generator) -> Any:
        """Cut a region out of another image, and resize it."""
        other = int(rng.choice(self.members[self.source.samples[number].label]))
        image, points = self.source.load(other)
        height, width = image.shape[:2]
        boxes, mask = self.proposer.draw_boxes([points], (width, height), seeds=[0])
        kappa = self.proposer.num_clusters
        found = boxes[0, :kappa][mask[0, :kappa]]
        if not len(found):
            return 0.0
        box = found[rng.integers(len(found))] * np.array([width, height, width, height])
        x0, y0, x1, y1 = np.rint(box).astype(int)
        patch = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        return self.source.plain.normalize(np.asarray(cv2.resize(patch, size)))


class CropAndDrop(Crop, Drop):
    """Cuts some views around regions, and blanks in others."""

    def __call__(self, number: int, rng: np.random.Generator) -> list[View]:
        """Cut a view, or blank a part of it."""
        image, points = self.source.load(number)
        view = self.guided(image, points, SHARE, rng)
        return [view or self.change(self.plain(image, rng), points, number, rng)]


IDEAS: dict[str, Callable[[Source], Idea]] = {
    "plain": Idea,
    "crop": Crop,
    "crop at random": RandomCrop,
    "crop by importance": Importance,
    "drop": Drop,
    "drop at random": RandomDrop,
    "exchange": Exchange,
    "crop and drop": CropAndDrop,
    "added view": Add,
}
IMAGE_SIZE = 160


def draw_seed(rng: np.random.Generator) -> int:
    """Draw a seed."""
    return int(rng.integers(2**31))
