"""What the demo set is painted with: distances, shadows, strokes.

Coordinates are fractions of the frame's side, x to the right, y downwards; colors are RGB in
[0, 1]. Everything is float32 and confined to windows: an image has to cost a few milliseconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from agnet_vision.data.demo.marks import Plane, length

RGBPlanes = Float[np.ndarray, "3 height width"]
Color = Float[np.ndarray, "3 1 1"]
Point = tuple[float, float]


class Canvas(NamedTuple):
    """An image being painted, or a window of it.

    Attributes:
        rgb: the image, changed in place.
        x: each pixel center's x.
        y: each pixel center's y.
        pixel: side of a pixel.
        light: unit vector to the light, in the frame's plane.
    """

    rgb: RGBPlanes
    x: Plane
    y: Plane
    pixel: float
    light: Point

    def window(self, center: Point, radius: float) -> Canvas:
        """View the square of half side ``radius``, to paint in."""
        low = [max(0, math.floor((c - radius) / self.pixel)) for c in center]
        high = [math.ceil((c + radius) / self.pixel) for c in center]
        columns, rows = (
            slice(first, max(last, first + 1)) for first, last in zip(low, high, strict=True)
        )
        return self._replace(
            rgb=self.rgb[:, rows, columns], x=self.x[rows, columns], y=self.y[rows, columns]
        )

    def local(self, center: Point, angle: float, scale: float) -> tuple[Plane, Plane]:
        """Return coordinates at ``center``, turned by ``angle``, in ``scale``.

        Args:
            center: the frame's origin.
            angle: of the frame's x, clockwise from the image's, in radians.
            scale: length of the frame's unit.
        """
        cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
        dx, dy = self.x - center[0], self.y - center[1]
        return dx * cosine + dy * sine, dy * cosine - dx * sine

    def blend(self, alpha: Plane, color: RGBPlanes | Color) -> None:
        """Lay ``color`` over the image where ``alpha`` says."""
        self.rgb[...] += alpha * (color - self.rgb)

    def shadow(self, distance: Plane, height: float, strength: float) -> None:
        """Darken what a thing at ``distance`` shades from the light.

        Args:
            distance: signed, to the outline of the thing.
            height: of the thing over the ground; sets how far the shadow falls and how soft it is.
            strength: share of the light it takes, in [0, 1].
        """
        moved = _shift(
            distance, -self.light[0] * height / self.pixel, -self.light[1] * height / self.pixel
        )
        self.rgb[...] *= 1 - strength * cover(moved, 2.5 * height)

    def strokes(
        self, lines: list[Float[np.ndarray, "points 2"]], width: float, color: Color, shadow: float
    ) -> None:
        """Draw antialiased, shadowed polylines on the whole image.

        Args:
            lines: joints of each line.
            width: of the lines.
            color: of the lines.
            shadow: share of the light their shadow takes, in [0, 1].
        """
        size = 2 * self.rgb.shape[1]
        mask = np.zeros((size, size), np.uint8)
        for line in lines:
            fixed = np.round((line * size - 0.5) * 16).astype(np.int32)
            cv2.polylines(mask, [fixed], False, 255, max(1, round(width * size)), cv2.LINE_AA, 4)
        alpha = (
            cv2.resize(mask, (size // 2, size // 2), interpolation=cv2.INTER_AREA).astype(
                np.float32
            )
            / 255
        )
        moved = _shift(alpha, -self.light[0] * 0.0075 * size, -self.light[1] * 0.0075 * size)
        self.rgb[...] *= 1 - shadow * cv2.GaussianBlur(moved, (0, 0), 0.004 * size)
        self.blend(alpha, color)

    def facing(self, x: Plane, y: Plane, angle: float) -> Plane:
        """Return how much the unit half-ball faces the light.

        Args:
            x: across, in a frame turned by ``angle``.
            y: down, likewise.
            angle: of the frame.
        """
        cosine, sine = math.cos(angle), math.sin(angle)
        light_x = self.light[0] * cosine + self.light[1] * sine
        light_y = self.light[1] * cosine - self.light[0] * sine
        up = np.sqrt(np.clip(1 - x * x - y * y, 0.02, 1))
        return np.clip((x * light_x + y * light_y) * 0.64 + up * 0.77, 0, 1)


def cover(distance: Plane, width: float) -> Plane:
    """Turn a signed distance into coverage, over ``width``."""
    return np.clip(0.5 - distance / width, 0, 1)


def diffuse(facing: Plane) -> Plane:
    """Turn ``Canvas.facing`` into a factor for colors.

    Some light comes from everywhere.
    """
    return 0.35 + 0.75 * facing


def soften(rgb: RGBPlanes, sigma: float) -> None:
    """Blur an image in place by ``sigma`` pixels."""
    for plane in rgb:
        plane[...] = cv2.GaussianBlur(plane, (0, 0), sigma)


def ellipse(x: Plane, y: Plane, half_width: float, half_height: float) -> Plane:
    """Return the distance to a centered ellipse, to first order."""
    reach = length(x / half_width, y / half_height)
    return reach * (reach - 1) / (length(x / half_width**2, y / half_height**2) + 1e-6)


def relief(rng: np.random.Generator, size: int, roughness: float, stretch: float = 1.0) -> Plane:
    """Draw random heights of unit deviation, finer where rougher.

    Args:
        rng: the only source of chance.
        size: side of the plane in pixels.
        roughness: weight of an octave over that of the one before.
        stretch: how much longer than wide the forms are.
    """
    field = np.zeros((size, size), np.float32)
    for octave in range(1, 7):
        cells = 2**octave
        grid = rng.standard_normal((cells, max(2, round(cells / stretch))), dtype=np.float32)
        field += roughness**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / field.std()


def _shift(plane: Plane, dx: float, dy: float) -> Plane:
    """Move a plane by pixels, continuing its edge."""
    move = np.array([[1, 0, dx], [0, 1, dy]], dtype=np.float32)
    return np.asarray(
        cv2.warpAffine(plane, move, plane.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    )
