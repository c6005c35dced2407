"""The demo classes' marks: signed distances of six flat shapes.

A signed distance is negative inside a shape, zero on its outline, positive outside; it gives an
antialiased image at any place, scale and rotation. All marks cover the same area, so their size
does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "height width"]


def length(x: Plane, y: Plane) -> Plane:
    """Return the distance to the origin.

    Several times faster than ``numpy.hypot``, whose care for overflow is not needed here.
    """
    return np.sqrt(x * x + y * y)


def disc(x: Plane, y: Plane, radius: float) -> Plane:
    """Return the signed distance to a disc around the origin."""
    return length(x, y) - radius


def box(x: Plane, y: Plane, half_width: float, half_height: float) -> Plane:
    """Return the signed distance to a centered upright rectangle.

    Exact outside, a bound inside.
    """
    dx, dy = np.abs(x) - half_width, np.abs(y) - half_height
    return length(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)


def _bar(x: Plane, y: Plane) -> Plane:
    return box(x, y, 0.9, 0.32)


def _chevron(x: Plane, y: Plane) -> Plane:
    # Mirrored at x = 0: each half is a slanted rectangle from the tip (0, -0.55) outwards and down.
    along, across = np.abs(x) * 0.64 + (y + 0.55) * 0.77, -np.abs(x) * 0.77 + (y + 0.55) * 0.64
    return box(along - 0.65, across, 0.72, 0.2)


def _crescent(x: Plane, y: Plane) -> Plane:
    return np.maximum(disc(x, y, 0.85), -disc(x, y - 0.5, 0.75))


def _cross(x: Plane, y: Plane) -> Plane:
    return np.minimum(box(x, y, 0.85, 0.2), box(x, y, 0.2, 0.85))


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(disc(x, y, 0.6)) - 0.17


def _triangle(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x) * 0.866 - y * 0.5, y) - 0.42


_SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "bar": _bar,
    "chevron": _chevron,
    "crescent": _crescent,
    "cross": _cross,
    "ring": _ring,
    "triangle": _triangle,
}
MARKS: tuple[str, ...] = tuple(_SHAPES)


@lru_cache
def _unit_scale(mark: str) -> float:
    """Find the scale at which a mark has area pi."""
    step = 0.005
    axis = np.arange(-2, 2, step) + step / 2
    x, y = np.meshgrid(axis, axis)
    return float(np.sqrt(np.pi / (np.count_nonzero(_SHAPES[mark](x, y) < 0) * step**2)))


def mark_distance(mark: str, x: Plane, y: Plane) -> Plane:
    """Return the signed distance to a mark of area pi."""
    scale = _unit_scale(mark)
    return _SHAPES[mark](x / scale, y / scale) * scale
