"""A demo image: a beetle on a forest floor.

The mark on one wing cover is the class. Everything else - floor, litter, colors, pose, light,
blur, noise - is drawn from a random stream that never looks at the class: two images of one
stream differ in that mark alone. Pebbles in the litter carry marks too, drawn blindly from all
classes, so a mark counts only where it belongs.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from agnet_vision.data.demo.canvas import (
    Canvas,
    Color,
    Point,
    RGBPlanes,
    cover,
    diffuse,
    ellipse,
    relief,
    soften,
)
from agnet_vision.data.demo.marks import MARKS, disc, mark_distance

_FLOORS = np.array(
    [
        [[0.48, 0.42, 0.33], [0.78, 0.70, 0.56]],  # sand
        [[0.40, 0.41, 0.42], [0.68, 0.67, 0.64]],  # stone
        [[0.29, 0.21, 0.15], [0.58, 0.46, 0.35]],  # bark
        [[0.18, 0.29, 0.13], [0.46, 0.57, 0.30]],  # moss
        [[0.25, 0.20, 0.15], [0.55, 0.42, 0.28]],  # soil
    ],
    dtype=np.float32,
)
_COLORS = np.array(
    [
        [0.36, 0.48, 0.20],  # litter: green leaf
        [0.66, 0.60, 0.26],  # yellow leaf
        [0.58, 0.36, 0.18],  # brown leaf
        [0.62, 0.24, 0.15],  # red leaf
        [0.52, 0.49, 0.45],  # gray stone
        [0.70, 0.65, 0.57],  # pale stone
        [0.36, 0.28, 0.22],  # bark
        [0.52, 0.09, 0.06],  # shells: red
        [0.10, 0.30, 0.17],  # green
        [0.10, 0.15, 0.33],  # blue
        [0.32, 0.16, 0.07],  # brown
        [0.13, 0.12, 0.13],  # black
        [0.33, 0.10, 0.25],  # purple
        [0.96, 0.91, 0.76],  # paints: cream
        [0.96, 0.80, 0.30],  # yellow
        [0.95, 0.62, 0.30],  # orange
        [0.78, 0.88, 0.92],  # pale blue
        [0.90, 0.93, 0.62],  # pale green
    ],
    dtype=np.float32,
)
# Beetles and marked pebbles share the last two, so that neither the shell's color nor the mark's
# points at the beetle.
_LITTER, _SHELLS, _PAINTS = np.split(_COLORS, (7, 13))
# Head, neck shield and wing covers, back to front: y of the center, half width, half height,
# brightness; the unit is half the body's length, the head at negative y.
_BODY = ((-0.92, 0.24, 0.20, 0.6), (-0.62, 0.44, 0.30, 0.85), (0.20, 0.66, 0.82, 1.0))
# Right-hand limbs, root to tip, in the body's frame.
_LEGS = (
    ((0.3, -0.6), (0.8, -0.85), (0.85, -1.2)),
    ((0.5, 0.0), (0.98, -0.1), (1.2, 0.2)),
    ((0.5, 0.4), (0.92, 0.75), (0.95, 1.2)),
)
_FEELER = ((0.12, -1.0), (0.3, -1.3), (0.55, -1.45))


def paint_scene(
    rng: np.random.Generator, mark: str, *, image_size: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Paint one image of a beetle that carries ``mark``.

    Args:
        rng: the only source of chance; consumed alike whatever the mark.
        mark: the class, one of ``MARKS``.
        image_size: side of the square image, in pixels.
    """
    axis = (np.arange(image_size, dtype=np.float32) + 0.5) / image_size
    x, y = np.meshgrid(axis, axis)
    angle = rng.uniform(0, 2 * math.pi)
    light = (math.cos(angle), math.sin(angle))
    canvas = Canvas(_floor(rng, image_size, light), x, y, 1 / image_size, light)
    for _ in range(rng.integers(5, 11)):
        _drop_litter(canvas, rng)
    for _ in range(rng.integers(1, 4)):
        _drop_twig(canvas, rng)
    for _ in range(rng.integers(0, 3)):
        _drop_marked_pebble(canvas, rng)
    # The camera focuses on the beetle.
    soften(canvas.rgb, image_size / 128 * rng.uniform(0.2, 1.3))
    _draw_beetle(canvas, rng, mark)
    return _develop(canvas, rng)


def _pick(rng: np.random.Generator, palette: Float[np.ndarray, "colors 3"]) -> Color:
    """Draw a palette color of slightly varied brightness and hue."""
    color = palette[rng.integers(len(palette))] * rng.uniform(0.85, 1.15) + rng.normal(0, 0.05, 3)
    return np.clip(color, 0.02, 1).astype(np.float32)[:, None, None]


def _point(rng: np.random.Generator, low: float, high: float) -> Point:
    return rng.uniform(low, high), rng.uniform(low, high)


def _floor(rng: np.random.Generator, size: int, light: Point) -> RGBPlanes:
    """Paint the ground in two tones, lit from the side."""
    dark, bright = _FLOORS[rng.integers(len(_FLOORS))][..., None, None] * np.float32(
        rng.uniform(0.85, 1.2)
    )
    fine = relief(rng, size, rng.uniform(0.6, 0.95), (1.0, 1.0, 3.0)[rng.integers(3)])
    patches = relief(rng, size, 0.5)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 360), 1.5)
    fine = np.asarray(cv2.warpAffine(fine, turn, (size, size), borderMode=cv2.BORDER_REFLECT))
    slope_y, slope_x = np.gradient(fine)
    shading = 1 + rng.uniform(0.1, 0.35) * np.tanh(slope_x * light[0] + slope_y * light[1])
    tone = np.clip(0.5 + 0.22 * fine + 0.2 * patches, 0, 1)
    return (dark + (bright - dark) * tone) * shading


def _drop_litter(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a leaf or a pebble."""
    center, angle = _point(rng, -0.05, 1.05), rng.uniform(0, 2 * math.pi)
    scale, color = rng.uniform(0.05, 0.17), _pick(rng, _LITTER)
    slim, vein = rng.uniform(0.35, 0.6), rng.uniform(0.95, 1.45)
    is_leaf = rng.random() < 0.55
    canvas = canvas.window(center, scale + 0.04)
    x, y = canvas.local(center, angle, scale)
    if is_leaf:  # two circles meet in a pointed shape
        radius = (1 + slim**2) / (2 * slim)
        distance = disc(x, np.abs(y) + (radius - slim), radius)
        shade = 1 + 0.2 * math.sin(angle) * np.sign(y) + 0.12 * np.sin(18 * (x - np.abs(y)))
        shade = np.where(np.abs(y) < 0.05, np.float32(vein), shade)
    else:
        distance = ellipse(x, y, 1, 0.5 + slim)
        shade = diffuse(canvas.facing(x, y / (0.5 + slim), angle))
    canvas.shadow(distance * scale, 0.015, 0.5)
    canvas.blend(cover(distance * scale, 1.5 * canvas.pixel), color * shade)


def _drop_twig(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a thin stick or a blade of grass."""
    start = rng.uniform(-0.1, 1.1, 2)
    end = start + rng.uniform(-0.6, 0.6, 2)
    bend = (start + end) / 2 + rng.normal(0, 0.08, 2)
    canvas.strokes(
        [np.stack([start, bend, end])], rng.uniform(0.008, 0.022), _pick(rng, _LITTER), shadow=0.4
    )


def _drop_marked_pebble(canvas: Canvas, rng: np.random.Generator) -> None:
    """Drop a smooth pebble with a mark of any class."""
    center, angle, scale = _point(rng, 0, 1), rng.uniform(0, 2 * math.pi), rng.uniform(0.09, 0.13)
    mark = MARKS[rng.integers(len(MARKS))]
    turn, flat = rng.uniform(0, 2 * math.pi), rng.uniform(0.75, 1)
    color, paint = _pick(rng, _SHELLS), _pick(rng, _PAINTS)
    canvas = canvas.window(center, scale + 0.05)
    x, y = canvas.local(center, angle, scale)
    distance, shade = ellipse(x, y, 1, flat) * scale, diffuse(canvas.facing(x, y / flat, angle))
    canvas.shadow(distance, 0.02, 0.55)
    canvas.blend(cover(distance, 1.5 * canvas.pixel), color * shade)
    _paint_mark(canvas, mark, center, turn, 0.42 * scale, paint * shade)


def _paint_mark(
    canvas: Canvas, mark: str, center: Point, turn: float, scale: float, color: RGBPlanes
) -> None:
    """Paint a mark as large as a disc of ``scale``."""
    distance = mark_distance(mark, *canvas.local(center, turn, scale)) * scale
    canvas.blend(cover(distance, 1.2 * canvas.pixel), color)


def _draw_beetle(canvas: Canvas, rng: np.random.Generator, mark: str) -> None:
    """Draw the beetle, a wing cover marked, the other freckled."""
    center, angle = _point(rng, 0.38, 0.62), rng.uniform(0, 2 * math.pi)
    scale = rng.uniform(0.27, 0.35)
    shell, paint, gloss = _pick(rng, _SHELLS), _pick(rng, _PAINTS), rng.uniform(0.15, 0.6)
    turn = (
        np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * scale
    )
    _draw_limbs(canvas, rng, turn, center, shell * 0.45)
    canvas = canvas.window(center, 1.2 * scale + 0.1)
    x, y = canvas.local(center, angle, scale)
    parts = [ellipse(x, y - middle, width, height) * scale for middle, width, height, _ in _BODY]
    canvas.shadow(np.minimum.reduce(parts), 0.05, 0.6)
    for distance, (middle, width, height, tone) in zip(parts, _BODY, strict=True):
        inside = cover(distance, 1.5 * canvas.pixel)
        facing = canvas.facing(x / width, (y - middle) / height, angle)
        canvas.blend(inside, shell * (tone * diffuse(facing)))
    side = (-1, 1)[rng.integers(2)]
    bright = paint * diffuse(facing)
    at = _place(side * rng.uniform(0.29, 0.34), rng.uniform(-0.12, 0.5), turn, center)
    _paint_mark(
        canvas, mark, at, rng.uniform(0, 2 * math.pi), scale * rng.uniform(0.19, 0.22), bright
    )
    for _ in range(rng.integers(2, 6)):
        at = _place(-side * rng.uniform(0.15, 0.45), rng.uniform(-0.25, 0.6), turn, center)
        width, height = rng.uniform(0.03, 0.075) * scale, rng.uniform(0.03, 0.1) * scale
        spot = ellipse(*canvas.local(at, angle, 1), width, height)
        canvas.blend(cover(spot, 0.05 * scale), bright)
    seam = cover((np.abs(x) - 0.015) * scale, 1.5 * canvas.pixel)
    canvas.blend(0.7 * seam * inside, shell * 0.3)
    canvas.rgb[...] += gloss * inside * facing**24


def _place(x: float, y: float, turn: Float[np.ndarray, "2 2"], center: Point) -> Point:
    """Return where a point of the body's frame lies."""
    across, down = np.array([x, y]) @ turn + center
    return float(across), float(down)


def _draw_limbs(
    canvas: Canvas,
    rng: np.random.Generator,
    turn: Float[np.ndarray, "2 2"],
    center: Point,
    color: Color,
) -> None:
    """Draw six legs and two feelers, each bent differently."""

    def bend(limb: tuple[Point, ...], side: int) -> Float[np.ndarray, "joints 2"]:
        """Vary a limb's joints, mirror and place it."""
        joints = np.array(limb) + rng.normal(0, 0.07, (len(limb), 2))
        return joints * (side, 1) @ turn + center

    scale = float(np.hypot(*turn[0]))
    canvas.strokes(
        [bend(leg, side) for side in (-1, 1) for leg in _LEGS], 0.07 * scale, color, shadow=0.5
    )
    canvas.strokes([bend(_FEELER, side) for side in (-1, 1)], 0.035 * scale, color, shadow=0.3)


def _develop(canvas: Canvas, rng: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """Take the photograph: uneven light, soft lens, noisy sensor."""
    dx, dy = canvas.x - 0.5, canvas.y - 0.5
    gradient = rng.uniform(0.1, 0.5) * (dx * canvas.light[0] + dy * canvas.light[1])
    vignette = rng.uniform(0, 0.5) * (dx * dx + dy * dy)
    tint = (rng.uniform(0.95, 1.3) * (1 + rng.normal(0, 0.04, (3, 1, 1)))).astype(np.float32)
    rgb = canvas.rgb * (1 + gradient - vignette) * tint
    soften(rgb, rng.uniform(0.25, 0.7) / 128 / canvas.pixel)
    rgb += rng.uniform(0.008, 0.025) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return np.ascontiguousarray(
        np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    )
