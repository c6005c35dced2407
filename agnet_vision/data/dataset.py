"""Samples to tensors: an image, its regions drawn after the augmentation, and its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from agnet_vision.data.image import read_image
from agnet_vision.data.listing import Sample
from agnet_vision.data.region_cache import RegionCache
from agnet_vision.data.sampler import Draw
from agnet_vision.data.transforms import Transform
from agnet_vision.errors import AGNetError
from agnet_vision.regions import RegionProposer, boxes_from_keypoints, grid_boxes, random_boxes


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
        self.samples, self.transform, self.proposer, self.cache = list(samples), transform, proposer, cache
        self.seed, self.frozen = seed, frozen

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: int | Draw) -> dict[str, Any] | AGNetError:
        """Load one item; what is wrong with its file is returned, not raised: its message survives the way from a worker.

        Args:
            draw: an index (then of epoch 0), or what ``EpochSampler`` yields; its ``index`` in the item is -1 for a copy
                that must not be counted.
        """
        epoch, index, counted = draw if isinstance(draw, tuple) else Draw(0, draw)
        sample = self.samples[index]
        try:
            image = read_image(sample.path)
            xy, group = self._points(sample, image)
        except AGNetError as error:
            return error
        seeds = np.random.SeedSequence([self.seed, 0 if self.frozen else epoch, index]).generate_state(2)
        pixels, xy, group = self.transform(image, xy, group, seed=int(seeds[0]))
        item = {"image": pixels, "label": sample.label, "index": index if counted else -1}
        if self.proposer is not None:
            boxes, mask = self._boxes(xy, group, (pixels.shape[2], pixels.shape[1]), int(seeds[1]))
            item |= {"boxes": torch.from_numpy(boxes), "mask": torch.from_numpy(mask)}
        return item

    def _points(self, sample: Sample, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look the labelled points up, or detect them; none where no region needs them."""
        if self.proposer is None or self.proposer.source != "keypoints":
            return np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
        points = self.cache[sample.path] if self.cache is not None else self.proposer.keypoints(image)
        return points.xy, points.group

    def _boxes(
        self, xy: np.ndarray, group: np.ndarray, image_size: tuple[int, int], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the boxes in the augmented frame."""
        assert self.proposer is not None
        kappa = self.proposer.num_clusters
        match self.proposer.source:
            case "keypoints":
                return boxes_from_keypoints(xy, group, image_size, kappa)
            case "grid":
                return grid_boxes(kappa)
            case "random":
                return random_boxes(kappa, np.random.default_rng(seed))


def collate(items: Sequence[dict[str, Any] | AGNetError]) -> dict[str, Any] | AGNetError:
    """Stack items to a batch; the first that is wrong takes its place."""
    for item in items:
        if isinstance(item, AGNetError):
            return item
    return default_collate(list(items))
