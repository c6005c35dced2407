"""How fast a JPEG becomes an array.

Pillow, OpenCV, torchvision, full size and reduced, and ``read_image`` itself.

python tools/benchmark.py decode [--images 24] [--repeats 7] [--output docs/benchmarks/decode.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch
import torchvision
from jaxtyping import UInt8
from PIL import Image, features
from rich.console import Console
from torchvision.io import ImageReadMode, decode_jpeg

from agnet_vision.data.image import read_image
from agnet_vision.errors import ImageReadError

Picture = UInt8[np.ndarray, "height width 3"]
Decoder = Callable[[Path], Picture]

# Food-101's pictures have a long side of 512; the other is what a camera gives.
SIZES = {"food101_512x384": (512, 384), "photograph_4000x3000": (4000, 3000)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--images",
        type=int,
        default=24,
        help="pictures of 512 pixels; one in twelve of the large ones",
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="timed passes; the median and quartiles are reported"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Time every decoder on one core.

    In images a second of CPU time; its pixels are compared with Pillow's.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    console, results = Console(), list[dict[str, object]]()
    with tempfile.TemporaryDirectory() as folder:
        for size_name, (width, height) in SIZES.items():
            number = max(1, arguments.images // (1 if width <= 512 else 12))
            paths = [Path(folder, f"{size_name}_{i}.jpg") for i in range(number)]
            for i, path in enumerate(paths):
                Image.fromarray(make_picture(width, height, seed=arguments.seed + i)).save(
                    path, quality=90
                )
            for decoder_name, decode in decoders(large=width > 512).items():
                measured = {
                    "size": size_name,
                    "decoder": decoder_name,
                    **measure(decode, paths, arguments.repeats),
                }
                results.append(measured)
                console.print(
                    f"{size_name:22} {decoder_name:24} {measured['images_per_s']:>9} images/s"
                )
    report = {
        "versions": versions(),
        "seed": arguments.seed,
        "repeats": arguments.repeats,
        "results": results,
    }
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    return report


def make_picture(width: int, height: int, *, seed: int) -> Picture:
    """Draw noise with the spectrum of a photograph.

    So JPEG spends about as many bits on it.
    """
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.float32)
    for cells in (4, 16, 64, 256):
        noise = rng.standard_normal(
            (max(2, height * cells // 512), max(2, width * cells // 512), 3), dtype=np.float32
        )
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (
            80 / np.sqrt(cells)
        )
    return np.clip(picture, 0, 255).astype(np.uint8)


def decoders(*, large: bool) -> dict[str, Decoder]:
    """Name the decoders.

    Reduced decoding only pays for large images.
    """
    chosen: dict[str, Decoder] = {
        "pillow": decode_pillow,
        "opencv": decode_opencv,
        "torchvision": decode_torchvision,
        "read_image": read_image,
    }
    if large:
        chosen["pillow draft 1/4"] = lambda path: decode_pillow(path, draft_side=700)
    return chosen


def decode_pillow(path: Path, draft_side: int | None = None) -> Picture:
    """Decode with Pillow, reduced while loading if wished."""
    with Image.open(path) as image:
        if draft_side is not None:
            image.draft("RGB", (draft_side, draft_side))
        return np.array(image.convert("RGB"))


def decode_opencv(path: Path) -> Picture:
    """Decode with OpenCV."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ImageReadError(path, "OpenCV cannot decode it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def decode_torchvision(path: Path) -> Picture:
    """Decode with torchvision, to the memory layout of the others."""
    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # deprecated since 0.29: one more reason not to choose it
        return decode_jpeg(content, mode=ImageReadMode.RGB).permute(1, 2, 0).contiguous().numpy()


def measure(decode: Decoder, paths: list[Path], repeats: int) -> dict[str, object]:
    """Time whole passes over the images.

    One before warms caches and compares pixels.
    """
    differences = []
    for path in paths:
        pixels, reference = decode(path), decode_pillow(path)
        if pixels.shape == reference.shape:
            differences.append(int(np.abs(pixels.astype(np.int16) - reference).max()))
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        for path in paths:
            decode(path)
        rates.append(len(paths) / (time.process_time() - start))
    low, median, high = np.percentile(rates, [25, 50, 75])
    return {
        "images_per_s": round(float(median), 2),
        "quartiles": [round(float(low), 2), round(float(high), 2)],
        "max_difference": max(differences) if differences else "reduced",
    }


def versions() -> dict[str, str]:
    """Name what the numbers depend on."""
    jpeg = features.version("jpg") or "unknown"
    return {
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "pillow": f"{PIL.__version__} (libjpeg {jpeg})",
        "opencv": cv2.__version__,
        "torchvision": torchvision.__version__,
    }
