"""How well near-duplicates are told from different images.

The measures are recall of changed copies, and false pairs.

python tools/benchmark.py duplicates --images FOLDER [--output docs/benchmarks/duplicates.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from rich.console import Console

from agnet_vision.data.image import is_image_name, read_image
from agnet_vision.data.prepare.duplicates import Fingerprint, fingerprint, similar_pairs
from agnet_vision.errors import DatasetNotFoundError
from benchmarks.conditions import conditions, write_report

Image = UInt8[np.ndarray, "height width 3"]
LIMITS = (0.75, 0.80, 0.85, 0.90, 0.95)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--images", type=Path, required=True, help="folder of different images")
    parser.add_argument("--changed", type=int, default=1000, help="images that are changed")
    parser.add_argument("--framed", type=int, default=2500, help="images with a shared background")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers to this file")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Count pairs among different images, and changed copies found."""
    paths = sorted(path for path in arguments.images.rglob("*") if is_image_name(path.name))
    if len(paths) < 2:
        raise DatasetNotFoundError(f"--images={arguments.images} must hold at least two images")
    rng = np.random.default_rng(arguments.seed)
    prints = [fingerprint(read_image(path)) for path in paths]
    changed = rng.permutation(len(paths))[: arguments.changed]
    framed = rng.permutation(len(paths))[: arguments.framed]
    report: dict[str, Any] = {
        "images": len(paths),
        "limits": LIMITS,
        "pairs": {"the images themselves": count_pairs(prints)},
        "recall": {},
        "conditions": conditions(arguments.seed),
    }
    for name, frame in BACKGROUNDS.items():
        framed_prints = [fingerprint(frame(read_image(paths[i]), rng)) for i in framed]
        report["pairs"][f"{len(framed_prints)} of them {name}"] = count_pairs(framed_prints)
    for name, change in CHANGES.items():
        copies = [fingerprint(change(read_image(paths[i]))) for i in changed]
        report["recall"][name] = recall(prints, changed.tolist(), copies)
    Console().print_json(data=report)
    write_report(report, arguments.output)
    return report


def count_pairs(prints: list[Fingerprint]) -> list[int]:
    """Count the pairs at each limit."""
    similarity = similar_pairs(prints, min_similarity=min(LIMITS)).similarity
    return [int((similarity >= limit).sum()) for limit in LIMITS]


def recall(prints: list[Fingerprint], changed: list[int], copies: list[Fingerprint]) -> list[float]:
    """Return the share of copies paired with their originals.

    There is one for each limit.
    """
    pairs = similar_pairs([*prints, *copies], min_similarity=min(LIMITS))
    original = {len(prints) + k: i for k, i in enumerate(changed)}
    found = np.array(
        [
            similarity
            for first, second, similarity in zip(*pairs, strict=True)
            if original.get(int(second)) == int(first)
        ]
    )
    return [round(float((found >= limit).sum()) / len(copies), 3) for limit in LIMITS]


def reencode(image: Image, quality: int) -> Image:
    """Save as JPEG and read again."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def crop(image: Image, fraction: float) -> Image:
    """Cut a fraction off both sides, at the top left."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[int(height * fraction) :, int(width * fraction) :])


def turn(image: Image, degrees: float) -> Image:
    """Rotate a little, mirroring the border."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(turned)


def write_on(image: Image) -> Image:
    """Write a line of text over the lower edge."""
    height, width = image.shape[:2]
    font = cv2.FONT_HERSHEY_SIMPLEX
    place, color = (5, height - 8), (255, 255, 255)
    return np.asarray(cv2.putText(image, "(c) someone", place, font, width / 300, color, 2))


CHANGES: dict[str, Callable[[Image], Image]] = {
    "JPEG quality 10": lambda image: reencode(image, 10),
    "a quarter of the size": lambda image: cv2.resize(image, None, fx=0.25, fy=0.25),
    "squeezed to a square": lambda image: cv2.resize(image, (224, 224)),
    "brighter by a fifth": lambda image: cv2.convertScaleAbs(image, alpha=1.2, beta=10),
    "turned by 2 degrees": lambda image: turn(image, 2),
    "text over it": write_on,
    "2 % cut off": lambda image: crop(image, 0.02),
    "5 % cut off": lambda image: crop(image, 0.05),
    "10 % cut off": lambda image: crop(image, 0.10),
}


def with_bars(image: Image, rng: np.random.Generator) -> Image:
    """Put black bars above and below."""
    return _paste(image, np.zeros((96, 96, 3), np.uint8), (0, 13, 96, 83))


def with_frame(image: Image, rng: np.random.Generator) -> Image:
    """Put a white frame around it."""
    return _paste(image, np.full((96, 96, 3), 255, np.uint8), (8, 8, 88, 88))


def on_white(image: Image, rng: np.random.Generator) -> Image:
    """Cut an ellipse out onto white, as shops do."""
    canvas, mask = np.full((96, 96, 3), 250, np.uint8), np.zeros((96, 96), np.uint8)
    axes, angle = rng.integers(18, 34, 2).tolist(), float(rng.integers(0, 30))
    center = (rng.integers(-3, 4, 2) + 48).tolist()
    cv2.ellipse(mask, center, axes, angle, 0, 360, 1, -1)
    return np.where(mask[..., None] == 1, cv2.resize(image, (96, 96)), canvas).astype(np.uint8)


def _paste(image: Image, canvas: Image, box: tuple[int, int, int, int]) -> Image:
    x0, y0, x1, y1 = box
    canvas[y0:y1, x0:x1] = cv2.resize(image, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return canvas


BACKGROUNDS: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "between black bars": with_bars,
    "in a white frame": with_frame,
    "cut out, on white": on_white,
}
