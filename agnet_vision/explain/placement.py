"""Labels placed on an image so that none covers another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

Box = tuple[float, float, float, float]
GRID = 25  # places tried along each side of the image, when no corner of the box is free


def place_labels(
    size: tuple[int, int], boxes: Sequence[Float[np.ndarray, " 4"]], texts: Iterable[str]
) -> list[tuple[float, float] | None]:
    """Place each text in a free corner, or nearby.

    Args:
        size: ``(height, width)`` of the image in pixels.
        boxes: ``(x0, y0, x1, y1)`` of the labeled regions, in its pixels.
        texts: the labels, in the order in which they choose.

    Returns:
        The center of each label; None where the image is full.
    """
    height, width = size
    taken: list[Box] = []
    centers: list[tuple[float, float] | None] = []
    for box, text in zip(boxes, texts, strict=True):
        # The size of the text in a figure of this library.
        label = (width * (0.02 + 0.026 * len(text)), max(height, 0.6 * width) * 0.075)
        place = next((p for p in _places(box, label, (width, height)) if _is_free(p, taken)), None)
        if place is not None:
            taken.append(place)
        centers.append(place and ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2))
    return centers


def _places(
    box: Float[np.ndarray, " 4"], label: tuple[float, float], size: tuple[int, int]
) -> Iterable[Box]:
    """List where a label could stand, best first."""
    x0, y0, x1, y1 = box.tolist()
    right, bottom = x1 - label[0], y1 - label[1]
    middle = ((x0 + right) / 2, (y0 + bottom) / 2)
    spots = [(x0, y0), (right, bottom), (right, y0), (x0, bottom), (x0, middle[1])]
    spots += [(middle[0], y0), middle]

    last = (size[0] - label[0], size[1] - label[1])
    columns, rows = np.linspace(0, last[0], GRID), np.linspace(0, last[1], GRID)
    grid = [(float(x), float(y)) for x in columns for y in rows]
    grid.sort(key=lambda place: (place[0] - middle[0]) ** 2 + (place[1] - middle[1]) ** 2)
    for x, y in [*spots, *grid]:
        left, top = float(np.clip(x, 0, last[0])), float(np.clip(y, 0, last[1]))
        yield left, top, left + label[0], top + label[1]


def _is_free(place: Box, taken: Sequence[Box]) -> bool:
    """Tell whether a place overlaps no label placed before."""
    left, top, right, bottom = place
    return all(
        right <= other[0] or left >= other[2] or bottom <= other[1] or top >= other[3]
        for other in taken
    )
