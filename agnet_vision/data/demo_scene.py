"""Paint one picture of the demo set: a beetle on a forest floor, seen by an imperfect camera.

The mark on one wing cover is the class. Everything else - floor, litter, colours, pose, light, blur, noise - is drawn from a
random stream that never looks at the class: two pictures of one stream and different classes differ in the mark alone.
The litter carries marks too, drawn blindly, so a mark only counts where it belongs.

Coordinates are fractions of the frame's side, x to the right, y downwards; colours are RGB in [0, 1].
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from agnet_vision.data.demo_marks import MARKS, Plane, disc, mark_distance

Picture = Float[np.ndarray, "height width 3"]
Color = Float[np.ndarray, "3"]

_FLOORS = np.array(
    [
        [[0.46, 0.40, 0.31], [0.72, 0.64, 0.50]],  # sand
        [[0.36, 0.37, 0.38], [0.62, 0.61, 0.58]],  # stone
        [[0.25, 0.18, 0.13], [0.52, 0.41, 0.31]],  # bark
        [[0.16, 0.26, 0.12], [0.42, 0.52, 0.27]],  # moss
        [[0.22, 0.17, 0.13], [0.50, 0.38, 0.24]],  # soil
    ],
    dtype=np.float32,
)
_LITTER = np.array(
    [
        [0.36, 0.48, 0.20],
        [0.62, 0.58, 0.24],
        [0.55, 0.33, 0.16],
        [0.60, 0.22, 0.14],
        [0.50, 0.47, 0.43],
        [0.68, 0.63, 0.55],
        [0.34, 0.26, 0.20],
    ],
    dtype=np.float32,
)
_SHELLS = np.array(
    [
        [0.50, 0.09, 0.06],
        [0.10, 0.28, 0.16],
        [0.10, 0.14, 0.30],
        [0.30, 0.15, 0.07],
        [0.13, 0.12, 0.13],
        [0.33, 0.10, 0.24],
    ],
    dtype=np.float32,
)
_PAINTS = np.array(
    [[0.96, 0.91, 0.76], [0.96, 0.80, 0.30], [0.95, 0.62, 0.30], [0.78, 0.88, 0.92], [0.90, 0.93, 0.62]],
    dtype=np.float32,
)


class Canvas(NamedTuple):
    """A picture being painted.

    Attributes:
        rgb: the picture, changed in place.
        x: each pixel centre's x.
        y: each pixel centre's y.
        light: unit vector pointing to the light, in the frame's plane.
    """

    rgb: Picture
    x: Plane
    y: Plane
    light: tuple[float, float]

    @property
    def pixel(self) -> float:
        """Side of a pixel, as a fraction of the frame's."""
        return 1.0 / self.rgb.shape[0]


def paint_scene(rng: np.random.Generator, mark: str, *, image_size: int) -> UInt8[np.ndarray, "height width 3"]:
    """Paint one picture of a beetle that carries ``mark``.

    Args:
        rng: the only source of chance; consumed alike for every mark.
        mark: the class, one of ``MARKS``.
        image_size: side of the square picture, in pixels.
    """
    axis = (np.arange(image_size, dtype=np.float32) + 0.5) / image_size
    x, y = np.meshgrid(axis, axis)
    angle = rng.uniform(0, 2 * np.pi)
    canvas = Canvas(_floor(rng, image_size, angle), x, y, (float(np.cos(angle)), float(np.sin(angle))))
    for _ in range(rng.integers(5, 11)):
        _litter(canvas, rng)
    for _ in range(rng.integers(1, 4)):
        _twig(canvas, rng)
    for _ in range(2):
        _marked_pebble(canvas, rng)
    canvas.rgb[:] = cv2.GaussianBlur(canvas.rgb, (0, 0), image_size / 128 * rng.uniform(0.2, 1.3))
    _beetle(canvas, rng, mark)
    return _develop(canvas, rng)


def _pick(rng: np.random.Generator, palette: Float[np.ndarray, "colors 3"], spread: float = 0.05) -> Color:
    """Draw a palette colour, varied a little in brightness and hue."""
    color = palette[rng.integers(len(palette))] * rng.uniform(0.85, 1.15) + rng.normal(0, spread, 3)
    return np.clip(color, 0.02, 1).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, roughness: float, stretch: float = 1.0) -> Plane:
    """Draw smooth random relief of zero mean and unit deviation; rougher keeps more of the fine octaves."""
    field = np.zeros((size, size), np.float32)
    for octave in range(1, 7):
        cells = 2**octave
        grid = rng.standard_normal((cells, max(2, round(cells / stretch))), dtype=np.float32)
        field += roughness**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / field.std()


def _floor(rng: np.random.Generator, size: int, light_angle: float) -> Picture:
    """Paint the ground: two tones of one material, lit from the side."""
    dark, bright = _FLOORS[rng.integers(len(_FLOORS))] * rng.uniform(0.8, 1.2)
    relief = _noise(rng, size, rng.uniform(0.6, 0.95), rng.choice([1.0, 1.0, 3.0]))
    patches = _noise(rng, size, 0.5)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 360), 1.5)
    relief = cv2.warpAffine(relief, turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    slope_y, slope_x = np.gradient(relief)
    shading = 1 + rng.uniform(0.1, 0.35) * np.tanh(slope_x * np.cos(light_angle) + slope_y * np.sin(light_angle))
    blend = np.clip(0.5 + 0.22 * relief + 0.2 * patches, 0, 1)[..., None]
    return ((dark + (bright - dark) * blend) * shading[..., None]).astype(np.float32)


def _cover(distance: Plane, width: float) -> Plane:
    """Turn a signed distance into coverage in [0, 1], falling off over ``width``."""
    return np.clip(0.5 - distance / width, 0, 1)


def _blend(canvas: Canvas, alpha: Plane, color: Picture | Color) -> None:
    """Lay ``color`` over the picture where ``alpha`` says."""
    canvas.rgb[:] += alpha[..., None] * (color - canvas.rgb)


def _local(canvas: Canvas, center: tuple[float, float], angle: float, scale: float) -> tuple[Plane, Plane]:
    """Coordinates in a frame at ``center``, turned by ``angle`` and with unit length ``scale``."""
    dx, dy, c, s = (canvas.x - center[0]) / scale, (canvas.y - center[1]) / scale, np.cos(angle), np.sin(angle)
    return dx * c + dy * s, dy * c - dx * s


def _ellipse(x: Plane, y: Plane, half_width: float, half_height: float) -> Plane:
    """Signed distance to an ellipse around the origin, to first order."""
    reach = np.hypot(x / half_width, y / half_height)
    return reach * (reach - 1) / (np.hypot(x / half_width**2, y / half_height**2) + 1e-6)


def _shadow(canvas: Canvas, distance: Plane, height: float, strength: float) -> None:
    """Darken the picture beside a thing of that signed distance, away from the light."""
    away = np.float32(
        [[1, 0, -canvas.light[0] * height / canvas.pixel], [0, 1, -canvas.light[1] * height / canvas.pixel]]
    )
    moved = cv2.warpAffine(distance, away, distance.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    canvas.rgb[:] *= 1 - strength * _cover(moved, 2.5 * height)[..., None]


def _dome(canvas: Canvas, x: Plane, y: Plane, angle: float, gloss: float) -> tuple[Plane, Plane]:
    """Shade a half-ball over the unit disc of (x, y): diffuse factor and highlight."""
    lx = canvas.light[0] * np.cos(angle) + canvas.light[1] * np.sin(angle)
    ly = canvas.light[1] * np.cos(angle) - canvas.light[0] * np.sin(angle)
    up = np.sqrt(np.clip(1 - x * x - y * y, 0.02, 1))
    facing = (x * lx + y * ly) * 0.64 + up * 0.77
    return 0.35 + 0.75 * np.clip(facing, 0, 1), gloss * np.clip(facing, 0, 1) ** 24


def _litter(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a leaf or a pebble."""
    center, angle, scale = rng.uniform(-0.05, 1.05, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.17)
    color, leaf, slim, vein = _pick(rng, _LITTER), rng.random() < 0.55, rng.uniform(0.35, 0.6), rng.uniform(-0.25, 0.25)
    x, y = _local(canvas, tuple(center), angle, scale)
    if leaf:  # two circles meet in a pointed shape
        radius = (1 + slim**2) / (2 * slim)
        distance = np.maximum(disc(x, y - (radius - slim), radius), disc(x, y + (radius - slim), radius)) * scale
        shade = 1 + 0.2 * np.sign(y) * np.sin(angle) + 0.12 * np.sin(18 * (x - np.abs(y)))
        shade = np.where(np.abs(y) < 0.05, 1.2 + vein, shade)
    else:
        distance = _ellipse(x, y, 1, 0.5 + slim) * scale
        shade = _dome(canvas, x, y / (0.5 + slim), angle, 0)[0]
    _shadow(canvas, distance, 0.015, 0.5)
    _blend(canvas, _cover(distance, 1.5 * canvas.pixel), color * shade[..., None])


def _twig(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a thin stick or a blade of grass."""
    start, bend = rng.uniform(-0.1, 1.1, 2), rng.normal(0, 0.08, 2)
    end = start + rng.uniform(-0.6, 0.6, 2)
    points = np.stack([start, (start + end) / 2 + bend, end])
    _strokes(canvas, [points], rng.uniform(0.008, 0.022), _pick(rng, _LITTER), shadow=0.4)


def _strokes(
    canvas: Canvas, lines: list[Float[np.ndarray, "points 2"]], width: float, color: Color, shadow: float
) -> None:
    """Draw antialiased polylines with their shadow."""
    size = canvas.rgb.shape[0]
    mask = np.zeros((2 * size, 2 * size), np.uint8)
    for line in lines:
        fixed = np.round((line * 2 * size - 0.5) * 16).astype(np.int32)
        cv2.polylines(mask, [fixed], False, 255, max(1, round(width * 2 * size)), cv2.LINE_AA, 4)
    alpha = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    away = np.float32([[1, 0, -canvas.light[0] * 0.015 * size], [0, 1, -canvas.light[1] * 0.015 * size]])
    dark = cv2.GaussianBlur(cv2.warpAffine(alpha, away, (size, size)), (0, 0), 0.008 * size)
    canvas.rgb[:] *= 1 - shadow * dark[..., None]
    _blend(canvas, alpha, color)


def _paint_mark(
    canvas: Canvas, mark: str, frame: tuple[Plane, Plane], place: Float[np.ndarray, "4"], color: Picture | Color
) -> None:
    """Paint a mark at ``place`` = (x, y, rotation, size), in units of ``frame``."""
    dx, dy, c, s = frame[0] - place[0], frame[1] - place[1], np.cos(place[2]), np.sin(place[2])
    distance = mark_distance(mark, (dx * c + dy * s) / place[3], (dy * c - dx * s) / place[3]) * place[3]
    step = float(np.hypot(frame[0][0, 1] - frame[0][0, 0], frame[1][0, 1] - frame[1][0, 0]))
    _blend(canvas, _cover(distance, 1.2 * step), color)


def _marked_pebble(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a smooth pebble that carries a mark drawn without regard to the class."""
    center, angle, scale = rng.uniform(0.0, 1.0, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.09, 0.13)
    mark = MARKS[rng.integers(len(MARKS))]
    x, y = _local(canvas, tuple(center), angle, scale)
    flat = rng.uniform(0.75, 1)
    distance = _ellipse(x, y, 1, flat) * scale
    shade = _dome(canvas, x, y / flat, angle, 0)[0][..., None]
    color, paint, turn = _pick(rng, _SHELLS), _pick(rng, _PAINTS), rng.uniform(0, 2 * np.pi)
    _shadow(canvas, distance, 0.02, 0.55)
    _blend(canvas, _cover(distance, 1.5 * canvas.pixel), color * shade)
    _paint_mark(canvas, mark, (x, y), np.array([0, 0, turn, 0.42]), paint * shade)


def _beetle(canvas: Canvas, rng: np.random.Generator, mark: str) -> None:
    """Paint the beetle; ``mark`` goes on one wing cover."""
    scale, angle = rng.uniform(0.24, 0.33), rng.uniform(-np.pi, np.pi)
    center = tuple(rng.uniform(0.36, 0.64, 2))
    shell, paint, gloss = _pick(rng, _SHELLS), _pick(rng, _PAINTS), rng.uniform(0.15, 0.6)
    x, y = _local(canvas, center, angle, scale)
    _limbs(canvas, rng, center, angle, scale, shell)
    parts = [(0.0, -0.92, 0.24, 0.2, 0.6), (0.0, -0.62, 0.44, 0.3, 0.85), (0.0, 0.2, 0.66, 0.82, 1.0)]
    outline = np.minimum.reduce([_ellipse(x, y - cy, w, h) for _, cy, w, h, _ in parts]) * scale
    _shadow(canvas, outline, 0.05, 0.6)
    for _, cy, w, h, tone in parts:
        diffuse, highlight = _dome(canvas, x / w, (y - cy) / h, angle, gloss)
        cover = _cover(_ellipse(x, y - cy, w, h) * scale, 1.5 * canvas.pixel)
        _blend(canvas, cover, shell * (tone * diffuse)[..., None] + 0 * highlight[..., None])
    _wing_pattern(canvas, rng, mark, (x, y), paint * diffuse[..., None])
    seam = _cover((np.abs(x) - 0.015) * scale, 1.5 * canvas.pixel) * cover
    _blend(canvas, 0.7 * seam, shell * 0.3)
    canvas.rgb[:] += (cover * highlight)[..., None]


def _wing_pattern(
    canvas: Canvas, rng: np.random.Generator, mark: str, frame: tuple[Plane, Plane], paint: Picture
) -> None:
    """Paint the mark on one wing cover, and freckles on the other and on the neck shield."""
    side = rng.choice([-1, 1])
    place = np.array(
        [side * rng.uniform(0.29, 0.34), rng.uniform(-0.12, 0.5), rng.uniform(0, 2 * np.pi), rng.uniform(0.16, 0.2)]
    )
    _paint_mark(canvas, mark, frame, place, paint)
    for _ in range(rng.integers(2, 6)):
        at, radius = np.array([-side * rng.uniform(0.15, 0.45), rng.uniform(-0.25, 0.6)]), rng.uniform(0.03, 0.075)
        spot = _ellipse(frame[0] - at[0], frame[1] - at[1], radius, radius * rng.uniform(0.6, 1.6))
        _blend(canvas, _cover(spot, 0.05), paint)


def _limbs(
    canvas: Canvas, rng: np.random.Generator, center: tuple[float, float], angle: float, scale: float, shell: Color
) -> None:
    """Draw six legs and two feelers, each bent a little differently."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    legs = []
    for side in (-1, 1):
        for root, knee, foot in (
            ((0.3, -0.6), (0.8, -0.85), (0.85, -1.2)),
            ((0.5, 0), (0.98, -0.1), (1.2, 0.2)),
            ((0.5, 0.4), (0.92, 0.75), (0.95, 1.2)),
        ):
            joints = np.array([root, knee, foot]) + rng.normal(0, 0.07, (3, 2))
            legs.append(joints * (side, 1) @ turn * scale + center)
    feelers = []
    for side in (-1, 1):
        joints = np.array([(0.12, -1.0), (0.3, -1.3), (0.55, -1.45)]) + rng.normal(0, 0.06, (3, 2))
        feelers.append(joints * (side, 1) @ turn * scale + center)
    _strokes(canvas, legs, 0.07 * scale, shell * 0.45, shadow=0.5)
    _strokes(canvas, feelers, 0.035 * scale, shell * 0.45, shadow=0.3)


def _develop(canvas: Canvas, rng: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """Light falls off across the frame, the lens is a little soft, the sensor a little noisy."""
    size, fall = canvas.rgb.shape[0], rng.uniform(0.1, 0.5)
    gradient = (canvas.x - 0.5) * canvas.light[0] + (canvas.y - 0.5) * canvas.light[1]
    vignette = rng.uniform(0, 0.5) * ((canvas.x - 0.5) ** 2 + (canvas.y - 0.5) ** 2)
    tint = 1 + rng.normal(0, 0.04, 3)
    rgb = canvas.rgb * (rng.uniform(0.85, 1.15) * (1 + fall * gradient - vignette))[..., None] * tint
    rgb = cv2.GaussianBlur(rgb, (0, 0), size / 128 * rng.uniform(0.25, 0.7))
    rgb += rng.normal(0, rng.uniform(0.008, 0.03)) * 0 + rng.standard_normal(rgb.shape, dtype=np.float32) * rng.uniform(
        0.008, 0.025
    )
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
