"""The demo set: painted pebbles, one of which carries a small mark.

The shape of the mark is the class. It covers about one hundredth of the image and lies anywhere,
at any angle, among other pebbles with blots of the same paint. Ground, pebbles, colors, light and
noise are drawn from a random stream that never looks at the class: two images of one stream differ
in the mark alone.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

from agnet_vision.data.sources.listing import SPLITS
from agnet_vision.errors import DatasetError
from agnet_vision.structures import RGBImage

# Raise it whenever a change of the painter changes an image: an older set is then refused, not
# mixed in.
VERSION = 2
MARKER = "demo.json"
MARKS = ("bar", "chevron", "crescent", "cross", "ring", "triangle")

GROUNDS = np.array([[168, 146, 112], [140, 138, 134], [112, 84, 60], [92, 116, 62]], np.float32)
STONES = np.array([[120, 60, 44], [62, 84, 70], [58, 70, 104], [70, 66, 64], [110, 74, 96]])
PAINTS = np.array([[244, 232, 196], [244, 204, 80], [240, 158, 80], [200, 224, 234]])
MARK_RADIUS = (0.054, 0.062)  # of a disc of the mark's area, as a share of the image's side
RESOLUTION = 12  # pixels of a mark's template along the radius of that disc

Plane = Float[np.ndarray, "height width"]
Pixels = Float[np.ndarray, "height width 3"]
Color = Float[np.ndarray, " 3"]
Point = Float[np.ndarray, " 2"]


def generate_demo(
    root: Path | str,
    *,
    seed: int = 0,
    num_train: int = 1800,
    num_val: int = 240,
    num_test: int = 480,
    image_size: int = 128,
) -> None:
    """Write ``root/{train,val,test}/<class>/<number>.jpg``, unless all is there already.

    The set appears whole or not at all: it is painted beside ``root`` and renamed. Same arguments,
    same bytes; every image, ``image_size`` pixels wide and high, depends on (seed, split, number)
    alone, so a longer split extends a shorter one. The classes get images in turn.

    Raises:
        DatasetError: ``root`` holds something else.
    """
    root = Path(root)
    counts = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
    settings = {"version": VERSION, "seed": seed, "image_size": image_size, **counts}
    if _is_present(root, settings):
        return

    images = [(split, number) for split in SPLITS for number in range(counts[split])]
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        unfinished = Path(scratch) / root.name
        for split, number in track(images, "painting the demo set", console=Console(stderr=True)):
            mark = MARKS[number % len(MARKS)]
            rng = np.random.default_rng((seed, SPLITS.index(split), number))
            image = paint_image(rng, mark, image_size=image_size)
            folder = unfinished / split / mark
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), image[..., ::-1])
        (unfinished / MARKER).write_text(json.dumps(settings, indent=2), encoding="utf-8")

        if not _is_present(root, settings):  # else another process has finished it meanwhile
            unfinished.rename(root)


def _is_present(root: Path, settings: dict[str, int]) -> bool:
    """Tell whether ``root`` is this set, which is written whole; refuse anything else there."""
    if not root.exists() or not any(root.iterdir()):
        return False
    cure = "delete the folder, or choose another with dataset.root="
    marker = root / MARKER
    if not marker.is_file():
        raise DatasetError(
            f"the demo set goes into a folder of its own, but {root} holds other files: {cure}"
        )

    found = json.loads(marker.read_text(encoding="utf-8"))
    if found != settings:
        raise DatasetError(f"{root} holds another demo set ({found} instead of {settings}): {cure}")
    return True


def paint_image(rng: np.random.Generator, mark: str, *, image_size: int) -> RGBImage:
    """Paint pebbles, the last of which carries ``mark``.

    Everything else is drawn from ``rng``, which is consumed alike whatever the mark.
    """
    angle = rng.uniform(0, 2 * math.pi)
    light = (math.cos(angle), math.sin(angle))
    pixels = _paint_ground(rng, image_size)
    for _ in range(rng.integers(2, 6)):
        _drop_stick(pixels, rng)

    for _ in range(rng.integers(4, 9)):
        center, paint = _drop_pebble(pixels, rng, rng.uniform(0.05, 0.14), light)
        for _ in range(rng.integers(0, 4)):
            blot = center + rng.normal(0, 0.03, 2)
            _paint_shape(pixels, "disc", blot, 0.0, rng.uniform(0.008, 0.025), paint)

    center, paint = _drop_pebble(pixels, rng, rng.uniform(0.12, 0.17), light)
    spot = center + rng.uniform(-0.04, 0.04, 2)
    _paint_shape(pixels, mark, spot, rng.uniform(0, 360), rng.uniform(*MARK_RADIUS), paint)

    pixels *= rng.uniform(0.8, 1.2)
    blurred = cv2.GaussianBlur(pixels, (0, 0), image_size / 128 * rng.uniform(0.3, 0.7))
    noise = rng.uniform(2, 6) * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.clip(np.round(blurred + noise), 0, 255).astype(np.uint8)


def _paint_ground(rng: np.random.Generator, size: int) -> Pixels:
    """Paint ground of one color, bright and dark in patches of all sizes."""
    tone = np.zeros((size, size), np.float32)
    roughness = rng.uniform(0.6, 0.9)
    for octave in range(1, 7):
        grid = rng.standard_normal((2**octave, 2**octave), dtype=np.float32)
        tone += roughness**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return _pick(rng, GROUNDS) * (1 + 0.14 * tone[..., None])


def _drop_stick(pixels: Pixels, rng: np.random.Generator) -> None:
    """Drop a thin stick with its shadow."""
    size = len(pixels)
    start = rng.uniform(0, size, 2)
    end = start + rng.uniform(-0.5, 0.5, 2) * size
    width = max(1, round(rng.uniform(0.01, 0.025) * size))
    color = _pick(rng, GROUNDS)
    for offset, tint in ((0.6 * width, 0.5 * color), (0.0, color)):
        mask = np.zeros(pixels.shape[:2], np.uint8)
        points = np.round((np.stack([start, end]) + offset) * 16).astype(np.int32)
        cv2.polylines(mask, [points], False, 255, width, cv2.LINE_AA, 4)
        _blend(pixels, mask / np.float32(255), tint)


def _drop_pebble(
    pixels: Pixels, rng: np.random.Generator, radius: float, light: tuple[float, float]
) -> tuple[Point, Color]:
    """Drop a round pebble with its shadow; return its center and a color to paint it with."""
    center = rng.uniform(0.15, 0.85, 2)
    turn, flat = rng.uniform(0, math.pi), rng.uniform(0.8, 1)
    color, paint = _pick(rng, STONES), _pick(rng, PAINTS)

    # Only what pebble and shadow can reach is looked at, in units of the radius from the center.
    size = len(pixels)
    low = np.maximum(np.floor((center - 1.5 * radius) * size), 0).astype(int)
    high = np.ceil((center + 1.5 * radius) * size).astype(int)
    pixels = pixels[low[1] : high[1], low[0] : high[0]]
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32) + 0.5
    x = (columns + float(low[0] - center[0] * size)) / (radius * size)
    y = (rows + float(low[1] - center[1] * size)) / (radius * size)

    def cover(x: Plane, y: Plane, softness: float) -> Plane:
        """Return how much of each pixel the pebble covers."""
        across = x * math.cos(turn) + y * math.sin(turn)
        down = (y * math.cos(turn) - x * math.sin(turn)) / flat
        return np.clip((1 - np.sqrt(across**2 + down**2)) / softness + 0.5, 0, 1)

    pixels *= 1 - 0.5 * cover(x + 0.2 * light[0], y + 0.2 * light[1], 0.3)[..., None]
    shade = np.clip(1 + 0.35 * (x * light[0] + y * light[1]), 0.5, 1.5)[..., None]
    _blend(pixels, cover(x, y, 1 / (radius * size)), color * shade)
    return center, paint


def _paint_shape(
    pixels: Pixels, shape: str, center: Point, degrees: float, radius: float, color: Color
) -> None:
    """Paint a mark or a disc with the area of a disc of ``radius``."""
    size, template = len(pixels), _template(shape)
    middle = (len(template) - 1) / 2
    turned = cv2.getRotationMatrix2D((middle, middle), degrees, radius * size / RESOLUTION)
    shift = (center * size - 0.5 - middle)[:, None]
    place = np.hstack([turned[:, :2], turned[:, 2:] + shift])
    _blend(pixels, np.asarray(cv2.warpAffine(template, place, (size, size))), color)


@lru_cache
def _template(shape: str) -> Plane:
    """Draw a shape of area pi in the middle of a square of side 4."""
    axis = (np.arange(32 * RESOLUTION) + 0.5) / (8 * RESOLUTION) - 2
    inside = is_inside(shape, *np.meshgrid(axis, axis)).astype(np.float32)
    return cv2.resize(inside, (4 * RESOLUTION, 4 * RESOLUTION), interpolation=cv2.INTER_AREA)


def is_inside(shape: str, x: Plane, y: Plane) -> Bool[np.ndarray, "height width"]:
    """Tell which points lie in a mark or a disc, of area pi, around the origin."""
    radius, across, up = np.hypot(x, y), np.abs(x), np.abs(y)

    match shape:
        case "bar":
            return (across < 0.53) & (up < 1.48)
        case "chevron":
            return (across < 1.31) & (np.abs(y + 0.55 - 1.1 * across) < 0.6)
        case "crescent":
            return (radius < 1.42) & (np.hypot(x, y - 0.76) > 1.145)
        case "cross":
            return (np.maximum(across, up) < 1.36) & (np.minimum(across, up) < 0.33)
        case "ring":
            return (radius > 0.67) & (radius < 1.2)
        case "triangle":
            return np.maximum(0.866 * across - 0.5 * y, y) < 0.777
        case _:
            return radius < 1


def _blend(pixels: Pixels, alpha: Plane, color: Color | Pixels) -> None:
    """Lay a color over the image where ``alpha`` says."""
    pixels += alpha[..., None] * (color - pixels)


def _pick(rng: np.random.Generator, palette: Float[np.ndarray, "colors 3"]) -> Color:
    """Draw a color of slightly varied brightness and hue."""
    color = palette[rng.integers(len(palette))] * rng.uniform(0.8, 1.1) + rng.normal(0, 8, 3)
    return np.clip(color, 4, 255).astype(np.float32)
