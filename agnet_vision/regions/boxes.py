"""Labeled points to boxes (steps 3 to 5 of the method), and the boxes of the controls."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

# Ours: a group of one point, or of a straight row, is as thick as the pixels it lies on.
MIN_SIDE_PIXELS = 1.0


def order_by_position(
    means: Float[np.ndarray, "groups 2"], image: Int[np.ndarray, " groups"] | None = None
) -> Int[np.ndarray, " groups"]:
    """Return the indices that sort groups by mean y, then by mean x.

    Weights are per slot and a mixture's own order is arbitrary: this is the one place that decides.

    Args:
        means: mean position of each group.
        image: index of the image of each group, to sort those of many images, image by image.
    """
    keys = (means[:, 0], means[:, 1])
    return np.lexsort(keys if image is None else (*keys, image))


def boxes_from_keypoints(
    xy: Float[np.ndarray, "points 2"],
    group: Int[np.ndarray, " points"],
    image_size: tuple[float, float],
    num_clusters: int = 8,
) -> tuple[Float[np.ndarray, "regions 4"], Bool[np.ndarray, " regions"]]:
    """Draw tight boxes around groups of points, around pairs of groups, and around the image.

    Points outside the frame are dropped first, so this is the call to make after an augmentation.
    Groups are ordered by where they are *now*, top to bottom by mean y, then by mean x; their boxes
    fill the first primary slots in that order.

    Args:
        xy: positions in pixels of the (augmented) image.
        group: label of each point; any integers, at most ``num_clusters`` distinct ones within the
            frame.
        image_size: ``(width, height)`` in pixels.
        num_clusters: kappa; 8 (paper).

    Returns:
        Boxes as fractions of width and height, zeros where the mask is False; and the mask.

    Raises:
        ValueError: there are more groups than ``num_clusters``, or the image has no area.
    """
    image = np.zeros(len(xy), np.int64)
    boxes, mask = boxes_of_images(xy, group, image, 1, image_size, num_clusters)
    return boxes[0], mask[0]


def boxes_of_images(
    xy: Float[np.ndarray, "points 2"],
    group: Int[np.ndarray, " points"],
    image: Int[np.ndarray, " points"],
    num_images: int,
    image_size: tuple[float, float],
    num_clusters: int,
) -> tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]:
    """Draw boxes as ``boxes_from_keypoints`` does, for many images of one size at once.

    Args:
        image: index of each point's image, from 0.
        num_images: number of images; some may have no point.
    """
    size = np.array(image_size, dtype=np.float64)
    if (size <= 0).any():
        raise ValueError(f"image_size must be positive (width, height), got {image_size}")

    primary = np.zeros((num_images, num_clusters, 4))
    present = np.zeros((num_images, num_clusters), dtype=bool)
    kept = np.flatnonzero(((xy >= 0) & (xy <= size)).all(axis=1))
    if not len(kept):
        return _fill_slots(primary, present)

    # Sort the points by image and group; from `starts` on, each group is one run of them.
    lowest = int(group.min())
    key = image[kept] * (int(group.max()) - lowest + 1) + (group[kept] - lowest)
    order = key.argsort(kind="stable")
    kept = kept[order]
    _, starts = np.unique(key[order], return_index=True)
    points = xy[kept].astype(np.float64)
    owner = image[kept[starts]]

    mean = np.add.reduceat(points, starts, axis=0) / np.diff(starts, append=len(kept))[:, None]
    rank = order_by_position(mean, owner)
    low = np.minimum.reduceat(points, starts, axis=0)[rank]
    high = np.maximum.reduceat(points, starts, axis=0)[rank]

    slot = np.arange(len(owner)) - np.searchsorted(owner, owner)
    if slot.max() >= num_clusters:
        raise ValueError(
            "num_clusters must be at least the number of groups, "
            f"got {num_clusters} for {slot.max() + 1} groups"
        )
    primary[owner, slot] = _thicken(low, high, size)
    present[owner, slot] = True
    return _fill_slots(primary, present)


def _thicken(
    low: Float[np.ndarray, "groups 2"],
    high: Float[np.ndarray, "groups 2"],
    size: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "groups 4"]:
    """Make boxes in pixels at least a pixel thick, and return them as fractions of the frame."""
    thin = np.maximum(np.minimum(MIN_SIDE_PIXELS, size) - (high - low), 0) / 2
    # A thickened box at the border moves back inside.
    shift = np.maximum(thin - low, 0) - np.maximum(high + thin - size, 0)
    low = low - thin + shift
    high = high + thin + shift
    return np.concatenate([low / size, high / size], axis=1)


def union_boxes(
    primary: Float[np.ndarray, "groups 4"], num_clusters: int
) -> tuple[Float[np.ndarray, "regions 4"], Bool[np.ndarray, " regions"]]:
    """Fill all slots of one image from its primary boxes, at most ``num_clusters``.

    Returns:
        The primary boxes, the box around each pair of them and the whole image; and the mask.
    """
    padded = np.zeros((1, num_clusters, 4))
    padded[0, : len(primary)] = primary
    boxes, mask = _fill_slots(padded, np.arange(num_clusters)[None] < len(primary))
    return boxes[0], mask[0]


def _fill_slots(
    primary: Float[np.ndarray, "batch groups 4"], present: Bool[np.ndarray, "batch groups"]
) -> tuple[Float[np.ndarray, "batch regions 4"], Bool[np.ndarray, "batch regions"]]:
    """Fill the slots of many images as ``union_boxes`` does."""
    first, second = _slots(primary.shape[1])
    mask = np.ones((len(primary), len(first) + 1), dtype=bool)
    mask[:, :-1] = present[:, first] & present[:, second]

    boxes = np.empty((*mask.shape, 4), dtype=np.float32)
    # A primary box is the box around itself twice.
    boxes[:, :-1, :2] = np.minimum(primary[:, first, :2], primary[:, second, :2])
    boxes[:, :-1, 2:] = np.maximum(primary[:, first, 2:], primary[:, second, 2:])
    boxes[:, -1] = (0, 0, 1, 1)
    boxes[~mask] = 0
    return boxes, mask


@lru_cache(maxsize=64)
def _slots(num_clusters: int) -> tuple[Int[np.ndarray, " slots"], Int[np.ndarray, " slots"]]:
    """List the two groups of each slot but the last; a primary slot has one group twice."""
    alone = np.arange(num_clusters)
    first, second = np.triu_indices(num_clusters, 1)
    return np.concatenate([alone, first]), np.concatenate([alone, second])


def grid_boxes(
    num_clusters: int = 8,
) -> tuple[Float[np.ndarray, "regions 4"], Bool[np.ndarray, " regions"]]:
    """Cut the frame into ``num_clusters`` equal cells, row by row; 2 rows of 4 for 8."""
    rows = next(rows for rows in range(math.isqrt(num_clusters), 0, -1) if num_clusters % rows == 0)
    columns = num_clusters // rows
    row, column = np.divmod(np.arange(num_clusters), columns)
    low = np.stack([column / columns, row / rows], axis=1)
    high = np.stack([(column + 1) / columns, (row + 1) / rows], axis=1)
    return union_boxes(np.concatenate([low, high], axis=1), num_clusters)


def random_boxes(
    num_clusters: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "regions 4"], Bool[np.ndarray, " regions"]]:
    """Throw ``num_clusters`` boxes into the frame, their sides a tenth to a half of the frame's."""
    side = rng.uniform(0.1, 0.5, size=(num_clusters, 2))
    low = rng.uniform(0, 1 - side)
    order = order_by_position(low + side / 2)
    return union_boxes(np.concatenate([low, low + side], axis=1)[order], num_clusters)
