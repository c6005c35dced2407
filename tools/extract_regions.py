"""Find and store the keypoints of a dataset once; options and their defaults: conf/extract_regions.yaml."""

from __future__ import annotations

import time
from pathlib import Path

import hydra
from omegaconf import DictConfig
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="extract_regions")
def main(config: DictConfig) -> None:
    """Extract, store and say what it cost."""
    with friendly_errors():
        extract(config)


def extract(config: DictConfig) -> None:
    """Extract the keypoints of all splits of a dataset and print size and time; heavy imports come last."""
    from agnet_vision.data.cache.store import RegionCache, default_cache_folder
    from agnet_vision.regions.proposer import RegionProposer
    from agnet_vision.training.build import build_table
    from agnet_vision.training.options import options_checked

    with options_checked():
        proposer = RegionProposer(**config.regions)
    if not proposer.needs_keypoints:
        raise ConfigError(
            f"regions={proposer.source} needs no keypoints, so there is nothing to extract; use regions=keypoints"
        )
    table = build_table(config)
    paths = [sample.path for samples in table.splits.values() for sample in samples]
    started = time.perf_counter()
    cache = RegionCache.build(
        paths,
        proposer,
        Path(config.cache_dir) if config.cache_dir else default_cache_folder(table.root),
        workers=config.workers,
        scheduler=config.scheduler,
        progress=config.progress,
    )
    seconds, stored = (
        time.perf_counter() - started,
        sum(file.stat().st_size for file in cache.folder.iterdir()),
    )
    print(
        f"{len(paths)} images in {seconds:.1f} s; {stored / 1e6:.1f} MB, {stored / max(1, len(cache)):.0f} bytes an image"
    )
    print(f"stored in {cache.folder}")


if __name__ == "__main__":
    with friendly_errors():
        check_options("extract_regions")
        main()
