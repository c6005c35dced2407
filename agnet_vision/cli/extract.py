"""``agnet extract``: a dataset's keypoints, found and stored once."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import model_validator

from agnet_vision.cli.command import Command
from agnet_vision.options.dataset import DatasetConfig
from agnet_vision.options.fields import CacheDir, Options, Progress, Text, option
from agnet_vision.options.network import RegionsConfig


class ExtractConfig(Options):
    """Options of ``agnet extract``."""

    dataset: DatasetConfig
    regions: RegionsConfig
    cache_dir: CacheDir
    workers: int | None = option("processes on this machine; null: one per core", ge=1)
    scheduler: Text | None = option(
        "tcp://host:port of a Dask scheduler, instead of processes on this machine"
    )
    progress: Progress

    @model_validator(mode="after")
    def _check(self) -> ExtractConfig:
        if self.regions.source != "keypoints":
            raise ValueError(
                f"regions={self.regions.source} needs no keypoints, so there is nothing to "
                "extract; use regions=keypoints"
            )
        return self


def call(config: ExtractConfig) -> None:
    """Extract all splits' keypoints, and print size and time."""
    from agnet_vision.data.cache.store import RegionCache, default_cache_folder
    from agnet_vision.regions.proposer import RegionProposer
    from agnet_vision.training.build import build_table

    table = build_table(config.dataset, seed=0)  # all splits are extracted, however drawn
    paths = [sample.path for samples in table.splits.values() for sample in samples]
    started = time.perf_counter()
    cache = RegionCache.build(
        paths,
        RegionProposer(**dict(config.regions)),
        Path(config.cache_dir) if config.cache_dir else default_cache_folder(table.root),
        workers=config.workers,
        scheduler=config.scheduler,
        progress=config.progress,
    )
    seconds = time.perf_counter() - started
    size = cache.path.stat().st_size / 1e6
    print(f"{len(paths)} images in {seconds:.1f} s, stored in {cache.path} ({size:.1f} MB)")


COMMAND = Command(
    schema=ExtractConfig,
    call=call,
    examples=("dataset=food101 dataset.root=/data/food101",),
)
