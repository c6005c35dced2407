"""Samples to tensors: an image, its regions and its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.utils.data import Dataset, default_collate

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.data.marks import MarkTable
from agnet_vision.data.preprocessing import ImageTransform, move_points
from agnet_vision.data.sampler import SampleRequest
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.views import TestTimeViews
from agnet_vision.errors import AGNetError
from agnet_vision.regions.proposer import LabeledPoints, RegionProposer, no_keypoints
from agnet_vision.structures import RGBImage

Item = dict[str, Any]


class RegionDataset(Dataset):
    """Items ``{"image" (3, H, W), "boxes" (R, 4), "mask" (R,), "label", "index"}``.

    A region follows its points: they are augmented with the image, and the boxes are drawn from
    where they end up. The control regions, grid and random, lie in the augmented frame.

    Args:
        proposer: source of the regions; None: items have no boxes (``backbone_only`` needs none).
        views: several views of each image instead of one, all with its index; None: one.
        cache: labeled points of every sample; without it they are detected at every access, which
            is slow.
        marks: marks of images; items then have ``"mark_boxes"`` (M, 4) and ``"look"`` (M,), as
            ``Marks`` of a batch, moved with the image.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: ImageTransform,
        proposer: RegionProposer | None = None,
        *,
        views: TestTimeViews | None = None,
        cache: RegionCache | None = None,
        seed: int = 0,
        marks: MarkTable | None = None,
    ) -> None:
        self.samples = list(samples)
        self.transform = transform
        self.proposer = proposer
        self.views = views
        self.cache = cache
        self.seed = seed
        self.marks = marks

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, request: int | SampleRequest) -> Item | AGNetError:
        """Load one item, the first of several views.

        What is wrong with its file is returned, not raised, so that its message survives the way
        from a worker.

        Args:
            request: an index (then of epoch 0), or what ``EpochSampler`` yields; ``index`` in the
                item is -1 for a copy that must not be counted.
        """
        return self.__getitems__([request])[0]

    def __getitems__(self, requests: Sequence[int | SampleRequest]) -> list[Item | AGNetError]:
        """Load the items of a batch together, so that their boxes are drawn in one go."""
        results: list[Item | AGNetError] = []
        loaded: list[_Loaded] = []
        for request in requests:
            if not isinstance(request, SampleRequest):
                request = SampleRequest(0, request)
            views = self._load(request)
            if isinstance(views, AGNetError):
                results.append(views)
            else:
                results += [view.item for view in views]
                loaded += views

        if self.proposer is not None and loaded:
            height, width = loaded[0].item["image"].shape[1:]
            seeds = [each.seed for each in loaded]
            drawn = self.proposer.draw_boxes(loaded, (width, height), seeds=seeds)
            for each, boxes, mask in zip(loaded, *map(torch.from_numpy, drawn), strict=True):
                each.item.update(boxes=boxes, mask=mask)
        return results

    def _load(self, request: SampleRequest) -> list[_Loaded] | AGNetError:
        """Read an image and its points, and augment each view."""
        sample = self.samples[request.sample]
        try:
            image = read_image(sample.path)
            points = self._points(sample, image)
            marks = self.marks.of(sample.path, image) if self.marks is not None else None
        except AGNetError as error:
            return error

        entropy = [self.seed, request.epoch, request.sample, request.place]
        seeds = np.random.SeedSequence(entropy).generate_state(2).tolist()
        if self.views is not None:
            views = self.views(image)
        else:
            views = [self.transform(image, seed=seeds[0])]

        index = request.sample if request.counted else -1
        return [
            _Loaded(
                {"image": pixels, "label": torch.as_tensor(sample.label), "index": index}
                | (marks.moved(matrix, pixels.shape[-1]) if marks is not None else {}),
                move_points(points.xy, matrix),
                points.group,
                seeds[1],
            )
            for pixels, matrix in views
        ]

    def _points(self, sample: Sample, image: RGBImage) -> LabeledPoints:
        """Look up or detect the labeled points of an image, if any are needed."""
        if self.proposer is None or not self.proposer.needs_keypoints:
            return no_keypoints()
        return self.proposer.keypoints(image) if self.cache is None else self.cache[sample.path]


class _Loaded(NamedTuple):
    """A loaded item whose boxes are not drawn yet."""

    item: Item
    xy: Float[np.ndarray, "points 2"]
    group: Int[np.ndarray, " points"]
    seed: int


def collate(items: Sequence[Item | AGNetError]) -> Item | AGNetError:
    """Stack items to a batch, or return the first error."""
    for item in items:
        if isinstance(item, AGNetError):
            return item
    return default_collate(list(items))
