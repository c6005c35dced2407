"""Damaged images: bytes changed, cut or doubled, in six formats."""

from __future__ import annotations

import io
import random
import resource
import signal
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

from agnet_vision import RegionProposer
from agnet_vision.data.image import read_image
from agnet_vision.errors import ImageReadError
from benchmarks.faults.child import in_child

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
ROOM = 2**30  # bytes beyond what the process has at its start
SECONDS = 10  # more for one image is a hang
BATCH = 500


class Hang(BaseException):
    """An image took too long.

    No except clause of a decoder catches it.
    """


def read_mutated(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Read mutated images and find their regions.

    The processes have little memory.
    """
    answers = Counter[str]()
    for first in range(0, count, BATCH):
        size = min(BATCH, count - first)
        ended = in_child(_read_batch, folder, size, seed + first, timeout=600)
        answers.update(ended.result if ended.code == 0 else {"crash": 1})
    return {"formats": len(FORMATS), "images": count, **answers}


def _read_batch(folder: Path, count: int, seed: int) -> Counter[str]:
    """Read one batch, and count the answers."""
    room = _size_now() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    signal.signal(signal.SIGALRM, _hang)
    warnings.simplefilter("ignore")
    generator = random.Random(seed)
    originals = [_encode(name, seed + number) for number, name in enumerate(FORMATS)]
    propose, answers = RegionProposer(num_clusters=4), Counter[str]()
    for number in range(count):
        path = folder / f"{number % 8}.jpg"  # the content decides, not the name
        path.write_bytes(mutate(originals[number % len(FORMATS)], generator))
        signal.alarm(SECONDS)
        try:
            regions = propose([read_image(path)])
            sound = bool(regions.boxes.isfinite().all() and regions.mask.any())
            answers["read" if sound else "wrong"] += 1
        except ImageReadError:
            answers["refused"] += 1
        except MemoryError:
            answers["out of memory"] += 1
        except Hang:
            answers["hang"] += 1
        except Exception as error:
            answers[f"uncaught {type(error).__name__}"] += 1
        finally:
            signal.alarm(0)
    return answers


def mutate(content: bytes, generator: random.Random) -> bytes:
    """Change, cut, double or insert bytes."""
    data = bytearray(content)
    place = generator.randrange(len(data))
    match generator.randrange(5):
        case 0:
            for _ in range(generator.choice((1, 3, 30))):
                data[generator.randrange(len(data))] = generator.randrange(256)
        case 1:  # where sizes and offsets stand
            data[generator.randrange(min(64, len(data)))] ^= 1 << generator.randrange(8)
        case 2:
            del data[place:]
        case 3:
            data[place:place] = data[place : place + generator.randrange(1, 200)]
        case _:
            del data[place : place + generator.randrange(1, 200)]
    return bytes(data)


def _encode(name: str, seed: int) -> bytes:
    """Write a noisy image of two colors in a format."""
    noise = np.random.default_rng(seed).integers(0, 90, (60, 80, 3), dtype=np.uint8)
    noise[20:40, 30:60] += 120
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, name)
    return buffer.getvalue()


def _size_now() -> int:
    """Return the address space of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang
