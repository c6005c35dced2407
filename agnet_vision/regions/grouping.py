"""Keypoints to semantic groups, step 2 of the method.

The points are whitened, a mixture is fitted to them, and they are labeled by it. Whitening makes
the fit equivariant under affine maps. **An image's labels never depend on its neighbors**: point
sets are padded to fixed sizes (multiples of ``PAD``), never to the longest of the batch, and
``mixture`` keeps the fits apart.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from agnet_vision.choices import Grouping
from agnet_vision.regions.boxes import order_by_position
from agnet_vision.regions.mixture import assign, fit_mixtures, pad_statistics

PAD = 128  # point sets are padded to a multiple of this
CHUNK = 64  # images fitted together: their responsibilities stay in the processor's cache


def group_points(
    points: Sequence[Float[np.ndarray, "_ 2"]],
    num_clusters: int = 8,
    *,
    method: Grouping = "em",
    seed: int = 0,
) -> list[Int[np.ndarray, " _"]]:
    """Label the points of each image with their semantic groups.

    Labels run from 0 without gaps, in the order of ``order_by_position``. Fewer groups appear where
    points are few: under 9 points at most 2 (paper's reference behavior), and never more than there
    are distinct locations.

    Args:
        points: positions ``(x, y)`` of each image, any unit.
        num_clusters: kappa, the components of each mixture; 8 (paper).
        method: ``"em"``, the batched fit of this file, or ``"sklearn"``, the textbook path, about
            ten times slower.
        seed: seed of the k-means++ start; each image draws the same numbers.

    Raises:
        ValueError: a position is not finite.
    """
    for index, xy in enumerate(points):
        if not np.isfinite(xy).all():
            raise ValueError(f"points must be finite, got NaN or infinity in image {index}")
    match method:
        case "em":
            labels = _group_batched(points, num_clusters, seed)
        case "sklearn":
            labels = [_group_sklearn(xy, num_clusters, seed) for xy in points]
    return [number_by_position(xy, label) for xy, label in zip(points, labels, strict=True)]


def number_by_position(
    xy: Float[np.ndarray, "points 2"], group: Int[np.ndarray, " points"]
) -> Int[np.ndarray, " points"]:
    """Renumber the groups of an image without gaps, in their order."""
    if not len(group):
        return group.astype(np.int64)

    _, group, counts = np.unique(group, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(group, weights=xy[:, axis]) / counts for axis in (0, 1)], axis=1)
    return order_by_position(means).argsort()[group]


def count_components(num_points: int, num_clusters: int) -> int:
    """Return the number of components that points support: kappa from 9 points on, below that 2."""
    if num_points > num_clusters and num_points >= 9:
        return num_clusters
    return min(num_clusters, 2, num_points)


def whiten(xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
    """Move points to mean 0 and covariance 1; a direction without spread becomes 0."""
    centered = xy.astype(np.float64) - xy.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(centered.T @ centered / len(centered))
    usable = variance > max(1e-12 * variance[-1], 1e-12)
    return centered @ axes * np.where(usable, 1 / np.sqrt(np.where(usable, variance, 1)), 0)


@torch.inference_mode()
def _group_batched(
    points: Sequence[Float[np.ndarray, "_ 2"]], num_clusters: int, seed: int
) -> list[Int[np.ndarray, " _"]]:
    """Fit the mixtures of many images at once, those of one padded shape together."""
    labels = [np.zeros(len(xy), dtype=np.int64) for xy in points]
    by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, xy in enumerate(points):
        if (components := count_components(len(xy), num_clusters)) > 1:
            by_shape[-(-len(xy) // PAD) * PAD, components].append(index)

    for (padded, components), members in by_shape.items():
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            statistics = torch.from_numpy(
                pad_statistics([whiten(points[index]) for index in chunk], padded)
            )
            coefficients, _ = fit_mixtures(statistics, components, seed=seed)
            found = assign(coefficients, statistics).numpy()
            for row, index in enumerate(chunk):
                labels[index] = found[row, : len(points[index])]
    return labels


def _group_sklearn(
    xy: Float[np.ndarray, "points 2"], num_clusters: int, seed: int
) -> Int[np.ndarray, " points"]:
    """Fit scikit-learn's mixture to the whitened points."""
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and only this path needs it
    from sklearn.mixture import GaussianMixture

    components = min(count_components(len(xy), num_clusters), len(np.unique(xy, axis=0)))
    if components < 2:
        return np.zeros(len(xy), dtype=np.int64)

    with warnings.catch_warnings():
        # 100 iterations without convergence still give usable groups, and so do fewer clusters than
        # asked.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = GaussianMixture(components, random_state=seed).fit_predict(whiten(xy))
    return np.asarray(labels, dtype=np.int64)
