"""The order of groups, and so of slots.

By mean y, then by mean x. Weights are per slot, a mixture's component order is arbitrary: this is
the one place that decides.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def order_by_position(
    means: Float[np.ndarray, "groups 2"], image: Int[np.ndarray, " groups"] | None = None
) -> Int[np.ndarray, " groups"]:
    """Sort groups by where they are.

    Args:
        means: mean position of each group.
        image: index of the image of each group, to sort the groups of many images at once.

    Returns:
        Indices of the groups in their order; those of the first image come first.
    """
    keys = (means[:, 0], means[:, 1])
    return np.lexsort(keys if image is None else (*keys, image))


def number_by_position(
    xy: Float[np.ndarray, "points 2"], group: Int[np.ndarray, " points"]
) -> Int[np.ndarray, " points"]:
    """Renumber an image's groups without gaps, in their order.

    Args:
        xy: positions of the points.
        group: label of each point; any integers.
    """
    if not len(group):
        return group.astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    counts = np.bincount(group)
    means = np.stack([np.bincount(group, weights=xy[:, axis]) / counts for axis in (0, 1)], axis=1)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[order_by_position(means)] = np.arange(len(counts))
    return rank[group]
