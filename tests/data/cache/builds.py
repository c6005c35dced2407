"""Images, caches of their keypoints, and the comparison with what is computed on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.regions.proposer import RegionProposer
from tests.regions.test_keypoints import texture

PROPOSER = RegionProposer()


def write_images(folder: Path, count: int = 8) -> list[Path]:
    """Write images of different sizes, the first without any keypoint."""
    folder.mkdir()
    paths = [folder / f"image é {index}.png" for index in range(count)]
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(paths[0])
    for index, path in enumerate(paths[1:]):
        Image.fromarray(texture(60 + 7 * (index % 12), 50, seed=index)).save(path)
    return paths


def build(paths: Iterable[Path | str], folder: Path, **options: Any) -> RegionCache:
    """Build a cache in this process, without a bar."""
    return RegionCache.build(
        paths, PROPOSER, folder, **{"workers": 1, "progress": False, **options}
    )


def check(cache: RegionCache, paths: Iterable[Path]) -> None:
    """Compare with keypoints computed on the spot: they are exactly the same."""
    for path in paths:
        found, expected = cache[path], PROPOSER.keypoints(read_image(path))
        for stored, computed in ((found.xy, expected.xy), (found.group, expected.group)):
            np.testing.assert_array_equal(stored, computed)
            assert stored.dtype == computed.dtype
