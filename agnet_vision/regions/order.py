"""The order of groups, and so of slots: by mean y, then by mean x.

Weights are per slot and a mixture's own order is arbitrary, so this is the one place that decides.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def order_by_position(
    means: Float[np.ndarray, "groups 2"], image: Int[np.ndarray, " groups"] | None = None
) -> Int[np.ndarray, " groups"]:
    """Return the indices that sort groups by where they are.

    Args:
        means: mean position of each group.
        image: index of the image of each group, to sort those of many images, image by image.
    """
    keys = (means[:, 0], means[:, 1])
    return np.lexsort(keys if image is None else (*keys, image))


def number_by_position(
    xy: Float[np.ndarray, "points 2"], group: Int[np.ndarray, " points"]
) -> Int[np.ndarray, " points"]:
    """Renumber the groups of an image without gaps, in their order."""
    if not len(group):
        return group.astype(np.int64)

    _, group = np.unique(group, return_inverse=True)
    counts = np.bincount(group)
    means = np.stack([np.bincount(group, weights=xy[:, axis]) / counts for axis in (0, 1)], axis=1)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[order_by_position(means)] = np.arange(len(counts))
    return rank[group]
