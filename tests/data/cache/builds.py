"""A cache, compared with what is computed on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.regions.proposer import RegionProposer

PROPOSER = RegionProposer()


def build(paths, folder, **options) -> RegionCache:
    return RegionCache.build(
        paths, PROPOSER, folder, **{"workers": 1, "progress": False, **options}
    )


def check(cache: RegionCache, paths: list[Path]) -> None:
    """Compare with keypoints computed on the spot.

    The precision is that of the stored format.
    """
    for path in paths:
        image, found = read_image(path), cache[path]
        expected = PROPOSER.keypoints(image)
        np.testing.assert_allclose(
            found.xy, expected.xy, atol=0.51 * max(image.shape) / 65535 + 1e-5
        )
        np.testing.assert_allclose(found.response, expected.response, rtol=2e-3, atol=1e-6)
        np.testing.assert_array_equal(found.group, expected.group)
        assert (found.xy.dtype, found.response.dtype, found.group.dtype) == (
            np.float32,
            np.float32,
            np.int64,
        )
