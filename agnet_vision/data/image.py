"""A file on disk -> an 8-bit RGB array; the only place where images are decoded.

Ordinary JPEGs go through OpenCV, 1.2 to 2 times as fast as Pillow and equal to it bit by bit; everything else, and every
JPEG that looks cut off, goes through Pillow, which knows more formats and refuses damaged ones (docs/benchmarks/decode.md).
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from agnet_vision.errors import ImageReadError

# Ours: above the largest photographs of the six benchmarks (63 million), below Pillow's own alarm (89 million).
MAX_PIXELS = 80_000_000

_DECODER_ERRORS = (
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    ZeroDivisionError,
)
_EXIF_ORIENTATION = 0x0112
# The last bytes of a whole file, zeros after them apart.
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_image(
    path: Path | str, *, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an image file into a contiguous 8-bit RGB array.

    The EXIF orientation is applied; palettes, grey, CMYK and 16-bit images are converted (16-bit values keep their high
    byte); transparency is laid over white; an animation gives its first frame.

    Args:
        path: any format Pillow reads.
        min_side: lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, the shorter side staying at least this long.
            Faster for large photographs, but positions measured in the full picture no longer fit. None: full size (ours).
        max_pixels: refuse larger images before they are decoded (ours; a decompression bomb would take the memory).

    Raises:
        ImageReadError: no such file, not an image, truncated, or too large.
    """
    with _opened(path, max_pixels) as (stream, image):
        pixels = _decode_jpeg(stream, image, min_side) if image.format in ("JPEG", "MPO") else None
        if pixels is None:
            image.load()
            pixels = _to_rgb(path, image)
        return np.ascontiguousarray(_upright(pixels, _orientation(image)))


def glance(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse what ``read_image`` would refuse, mostly without decoding: the head and the end of a JPEG or PNG suffice.

    A file damaged in its middle passes.

    Args:
        path: as for ``read_image``.
        max_pixels: as for ``read_image``.

    Raises:
        ImageReadError: no such file, not an image, truncated, or too large.
    """
    with _opened(path, max_pixels) as (stream, image):
        end = _ENDS.get(image.format or "")
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 64))
        if end is not None and stream.read().rstrip(b"\0").endswith(end):
            return
    read_image(path, max_pixels=max_pixels)


def glance_all(paths: Iterable[Path]) -> None:
    """Look at many files, 0.06 ms each, before a run depends on them.

    Raises:
        ImageReadError: some are not readable; names the first ten.
    """
    failures = [failure for path in paths if (failure := _failure(path)) is not None]
    if failures:
        raise sum_up(failures)


def _failure(path: Path) -> ImageReadError | None:
    """Return what is wrong with a file, None if nothing is."""
    try:
        glance(path)
    except ImageReadError as error:
        return error
    return None


def sum_up(failures: Sequence[ImageReadError]) -> ImageReadError:
    """Make one error of several: the first with its reason, the next nine by name, and the cure."""
    first, others = failures[0], len(failures) - 1
    cure = "repair or delete such files; tools/prepare_dataset.py lists them all"
    if not others:
        return ImageReadError(first.path, f"{first.reason}; {cure}")
    names = ", ".join(str(failure.path) for failure in failures[1:10])
    more = f"{others:,} more cannot be read{', among them' if others > 9 else ':'} {names}"
    return ImageReadError(first.path, f"{first.reason}; and {more}; {cure}")


@contextmanager
def _opened(path: Path | str, max_pixels: int) -> Iterator[tuple[BinaryIO, Image.Image]]:
    """Open a file and its header; whatever goes wrong inside becomes an ``ImageReadError``."""
    try:
        with open(path, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks on odd metadata; max_pixels replaces its size alarm
            image = Image.open(stream)
            _check_size(path, image.size, max_pixels)
            yield stream, image
    except FileNotFoundError as error:
        raise ImageReadError(path, "no such file") from error
    except UnidentifiedImageError as error:
        raise ImageReadError(path, "it is not an image, or its format is unknown") from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(path, f"more than {max_pixels:,} pixels") from error
    except (OSError, *_DECODER_ERRORS) as error:
        raise ImageReadError(path, str(error) or type(error).__name__) from error


def _check_size(path: Path | str, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse images that are too large to decode."""
    width, height = size
    if width * height > max_pixels:
        raise ImageReadError(path, f"{width} x {height} is more than {max_pixels:,} pixels")


def _decode_jpeg(
    stream: BinaryIO, image: Image.Image, min_side: int | None
) -> UInt8[np.ndarray, "height width 3"] | None:
    """Decode an ordinary JPEG with OpenCV; None for one that Pillow should judge (CMYK, or without its end marker)."""
    if image.mode not in ("RGB", "L"):
        return None
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    if not content.rstrip(b"\0").endswith(_ENDS["JPEG"]):
        return None
    factors = [
        factor
        for factor in _REDUCED
        if min_side is not None and min(image.size) // factor >= min_side
    ]
    flag = _REDUCED[max(factors)] if factors else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _to_rgb(path: Path | str, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Convert any Pillow mode to 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageReadError(
                path, "its 32-bit integers have no defined range; save it with 8 or 16 bits"
            )
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageReadError(
            path, "its floating-point values have no defined range; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    """Read how the camera was held; a picture with broken metadata is taken as it is."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except (OSError, *_DECODER_ERRORS):
        return 1


def _upright(
    pixels: UInt8[np.ndarray, "h w 3"], orientation: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Turn a picture the way its EXIF orientation says."""
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.transpose(1, 0, 2)
        case 6:
            return np.rot90(pixels, -1)
        case 7:
            return pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(pixels)
        case _:
            return pixels
