"""Samples to tensors: an image, its regions drawn after the augmentation, and its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.data.sampler import Draw
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import Transform, move_points
from agnet_vision.errors import AGNetError
from agnet_vision.regions.boxes import boxes_of_images, grid_boxes, random_boxes
from agnet_vision.regions.proposer import RegionProposer


class RegionDataset(Dataset):
    """Items ``{"image" (3, H, W), "boxes" (R, 4), "mask" (R,), "label", "index"}``.

    A region follows its points: they are augmented with the image and the boxes are drawn from where they end up.
    The control regions, grid and random, lie in the augmented frame.

    Args:
        samples: the labelled files.
        transform: see ``build_transform``.
        proposer: decides where regions come from; None: items have no boxes (``backbone_only`` needs none).
        cache: holds the labelled points of every sample; without it they are detected at every access, which is slow.
        seed: of the augmentation, together with epoch and index.
        frozen: the same item in every epoch, for evaluation.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        proposer: RegionProposer | None = None,
        *,
        cache: RegionCache | None = None,
        seed: int = 0,
        frozen: bool = False,
    ) -> None:
        self.samples, self.transform, self.proposer, self.cache = (
            list(samples),
            transform,
            proposer,
            cache,
        )
        self.seed, self.frozen = seed, frozen

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: int | Draw) -> dict[str, Any] | AGNetError:
        """Load one item; what is wrong with its file is returned, not raised: its message survives the way from a worker.

        Args:
            draw: an index (then of epoch 0), or what ``EpochSampler`` yields; its ``index`` in the item is -1 for a copy
                that must not be counted.
        """
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[int | Draw]) -> list[dict[str, Any] | AGNetError]:
        """Load the items of a batch: torch's loader asks for them together, and their boxes are drawn in one go."""
        items: list[dict[str, Any] | AGNetError] = []
        placed: list[_Placed] = []
        for draw in draws:
            epoch, index, counted = draw if isinstance(draw, tuple) else Draw(0, draw)
            sample = self.samples[index]
            try:
                image = read_image(sample.path)
                xy, group = self._points(sample, image)
            except AGNetError as error:
                items.append(error)
                continue
            seeds = np.random.SeedSequence(
                [self.seed, 0 if self.frozen else epoch, index]
            ).generate_state(2)
            pixels, matrix = self.transform(image, seed=int(seeds[0]))
            item = {"image": pixels, "label": sample.label, "index": index if counted else -1}
            items.append(item)
            placed.append(_Placed(item, move_points(xy, matrix), group, int(seeds[1])))
        if self.proposer is not None and placed:
            self._add_boxes(placed, self.proposer)
        return items

    def _points(self, sample: Sample, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look the labelled points up, or detect them; none where no region needs them."""
        if self.proposer is None or self.proposer.source != "keypoints":
            return np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
        points = (
            self.cache[sample.path] if self.cache is not None else self.proposer.keypoints(image)
        )
        return points.xy, points.group

    def _add_boxes(self, placed: Sequence[_Placed], proposer: RegionProposer) -> None:
        """Draw the boxes of all images in the augmented frame."""
        kappa = proposer.num_clusters
        match proposer.source:
            case "keypoints":
                height, width = placed[0].item["image"].shape[1:]
                owner = np.repeat(np.arange(len(placed)), [len(one.xy) for one in placed])
                xy, group = (
                    np.concatenate([one.xy for one in placed]),
                    np.concatenate([one.group for one in placed]),
                )
                boxes, mask = boxes_of_images(xy, group, owner, len(placed), (width, height), kappa)
            case "grid":
                boxes, mask = (np.stack([part] * len(placed)) for part in grid_boxes(kappa))
            case "random":
                pairs = [random_boxes(kappa, np.random.default_rng(one.seed)) for one in placed]
                boxes, mask = (np.stack(parts) for parts in zip(*pairs, strict=True))
        for one, image_boxes, image_mask in zip(
            placed, torch.from_numpy(boxes), torch.from_numpy(mask), strict=True
        ):
            one.item.update(boxes=image_boxes, mask=image_mask)


class _Placed(NamedTuple):
    """An item whose image is done, with what its boxes are drawn from."""

    item: dict[str, Any]
    xy: np.ndarray
    group: np.ndarray
    seed: int


def collate(items: Sequence[dict[str, Any] | AGNetError]) -> dict[str, Any] | AGNetError:
    """Stack items to a batch; the first that is wrong takes its place."""
    for item in items:
        if isinstance(item, AGNetError):
            return item
    return default_collate(list(items))
