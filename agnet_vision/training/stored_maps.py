"""Feature maps and regions of a dataset, stored once for heads that are fitted on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor, nn

from agnet_vision.data.cache.maps import array_path, images_digest, stored_array
from agnet_vision.data.cache.store import default_cache_folder
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import ConfigError
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig
from agnet_vision.structures import Regions
from agnet_vision.training.build import build_data
from agnet_vision.training.console import console

FORMAT = 1  # raise when the same options give other values
PART = 64  # images that are read at a time


@dataclass(frozen=True)
class StoredMaps:
    """The stored maps of a split, memory-mapped.

    Attributes:
        maps: feature maps.
        regions: box and mask of each region slot; None: no head needs them.
        label: true class.
    """

    maps: Float[np.ndarray, "images channels height width"]
    regions: Float[np.ndarray, "images slots 5"] | None
    label: Int[Tensor, " images"]

    def take(
        self, rows: Int[np.ndarray, " taken"] | slice, device: torch.device
    ) -> tuple[Float[Tensor, "taken channels height width"], Regions | None]:
        """Read maps and regions of some images."""
        maps = torch.from_numpy(np.array(self.maps[rows])).to(device).float()
        if self.regions is None:
            return maps, None
        regions = torch.from_numpy(np.array(self.regions[rows]))
        return maps, Regions(regions[..., :4], regions[..., 4] > 0).to(device)

    def parts(self, device: torch.device) -> Iterator[tuple[Tensor, Regions | None]]:
        """Read all images in order, some at a time."""
        for start in range(0, len(self.label), PART):
            yield self.take(slice(start, start + PART), device)


class MapStore:
    """The stored arrays of a dataset: maps, and regions where a head needs them.

    Args:
        models: networks of one backbone.
        table: the images.
        options: options of loaders and cache.
        device: where the backbone runs.
    """

    def __init__(
        self,
        models: Sequence[AGNet],
        table: SampleTable,
        options: TrainConfig,
        device: torch.device,
    ) -> None:
        self.model = next((each for each in models if each.head.needs_regions), models[0])
        self.table = table
        self.options = options
        self.device = device
        self.folder = (
            Path(options.cache_dir) if options.cache_dir else default_cache_folder(table.root)
        )
        with torch.no_grad():
            images = torch.zeros(1, 3, options.image_size, options.image_size, device=device)
            self.map_shape = tuple(self.model.forward_features(images).shape[1:])

    def check_size(self, max_gb: float) -> None:
        """Refuse maps that would take more of the disk than allowed.

        Raises:
            ConfigError: says how much they would take.
        """
        images = sum(map(len, self.table.splits.values()))
        size = images * math.prod(self.map_shape) * np.dtype(np.float16).itemsize / 1e9
        if size > max_gb:
            shape = " x ".join(map(str, self.map_shape))
            raise ConfigError(
                f"stored maps must fit into max_gb={max_gb:g}, and {images:,} maps of {shape} "
                f"values take {size:.2f} GB; give max_gb={math.ceil(size)}, a smaller image_size, "
                "or a backbone with fewer channels"
            )

    def split(self, split: str) -> StoredMaps:
        """Store a split, as evaluation sees it, or find it stored."""
        model, samples = self.model, self.table.splits[split]
        images = images_digest(sample.path for sample in samples)
        made_by = {
            "name": model.backbone_name,
            "options": model.backbone_kwargs,
            "taps": model.taps,
            "weights": _digest(model.backbone),
        }
        maps = self._array(split, images, "maps", self.map_shape, made_by, self._maps)

        regions = None
        if model.head.needs_regions:
            shape, made_by = (model.head.num_regions, 5), model.proposer.settings()
            regions = self._array(split, images, "regions", shape, made_by, _boxes_and_mask)
        return StoredMaps(maps, regions, torch.tensor([sample.label for sample in samples]))

    def _array(
        self,
        split: str,
        images: str,
        kind: str,
        shape: tuple[int, ...],
        made_by: Mapping[str, Any],
        make: Callable[[dict[str, Tensor]], Tensor],
    ) -> np.ndarray:
        """Find an array of a split, or make and store it batch by batch."""
        view = {"view": self.model.data_config, "format": FORMAT}
        path = array_path(self.folder, kind, images, {**view, **made_by})
        dtype = "float16" if kind == "maps" else "float32"
        shape = (len(self.table.splits[split]), *shape)

        def parts() -> Iterator[np.ndarray]:
            for batch in self._batches(split, kind):
                yield make(batch).cpu().numpy()

        return stored_array(path, shape, dtype, parts)

    def _batches(self, split: str, kind: str) -> Iterator[dict[str, Tensor]]:
        """Load a split in order, with regions if these are what is stored."""
        splits = {"train": [], "val": self.table.splits[split], "test": []}
        data = build_data(replace(self.table, splits=splits), self.model, self.options)
        if kind == "maps":
            data.proposer = None
        data.prepare_data()
        loader = data.val_dataloader()
        title = f"{kind} of {split}"
        for batch in track(loader, title, len(loader), console=console(), transient=True):
            yield data.on_before_batch_transfer(batch, 0)

    @torch.no_grad()
    def _maps(self, batch: dict[str, Tensor]) -> Tensor:
        images = batch["image"].to(self.device, memory_format=torch.channels_last)
        return self.model.forward_features(images).half()


def _boxes_and_mask(batch: dict[str, Tensor]) -> Tensor:
    """Put boxes and mask side by side."""
    mask = batch["mask"][..., None].to(batch["boxes"].dtype)
    return torch.cat([batch["boxes"], mask], dim=-1)


def _digest(module: nn.Module) -> str:
    """Compute a digest of a network's weights."""
    digest = blake2b(digest_size=16)
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
