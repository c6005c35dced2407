"""Files on disk to 8-bit RGB arrays.

This is the only place where images are decoded. The content of a file decides which decoder runs,
and only for the formats named here: a file of another format never reaches its decoder, whatever
its name is. Ordinary JPEGs go through OpenCV, 1.2 to 2 times as fast as Pillow and equal to it bit
by bit. All else goes through Pillow, and so does every JPEG that looks cut off: Pillow refuses
damaged ones (docs/benchmarks/decode.md).
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from agnet_vision.errors import ImageReadError
from agnet_vision.structures import RGBImage

# Pillow's names. JPEG includes MPO, a JPEG with a second view; DIB is a BMP without a file header.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM")
# How files of these formats are named; other files in a folder are not taken for images.
READ_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)

# Ours: above the 108 million of a phone, below Pillow's own alarm (179).
MAX_PIXELS = 120_000_000
# A JPEG's own limit. A PNG 1 pixel wide and 100 million high would take gigabytes of row pointers.
MAX_SIDE = 65_535

# The last bytes of a whole file, zeros after them apart.
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """Decode an image into a contiguous 8-bit RGB array.

    The EXIF orientation is applied. Palettes, gray, CMYK and 16-bit images are converted (16-bit
    values keep their high byte). Transparency is laid over white. An animation gives its first
    frame.

    Args:
        source: file, or bytes of one: JPEG, PNG, WebP, BMP, GIF, TIFF or PPM.
        max_pixels: largest number of pixels that is decoded; 120 million (ours).

    Raises:
        ImageReadError: no such file, not an image, truncated, damaged, or too large.
    """
    with _opened(source, max_pixels) as (stream, image):
        pixels = _decode_jpeg(stream, image) if image.format in ("JPEG", "MPO") else None
        if pixels is None:
            image.load()
            pixels = _to_rgb(_upright(image))
        return pixels


def check_images(paths: Iterable[Path]) -> None:
    """Check many files before a run depends on them, at 0.06 ms per file.

    A JPEG or PNG is judged by its head and end, so damage in its middle passes; others are decoded.

    Raises:
        ImageReadError: some are not readable; it names the first.
    """
    failures = [failure for path in paths if (failure := _find_failure(path)) is not None]
    if not failures:
        return

    first, *others = failures
    cure = "repair or delete such files; preparing the dataset lists them all"
    if others:
        cure = f"and {len(others):,} more cannot be read; {cure}"
    raise ImageReadError(first.path, f"{first.reason}; {cure}")


def _find_failure(path: Path) -> ImageReadError | None:
    """Return why a file cannot be read, or None."""
    try:
        with _opened(path, MAX_PIXELS) as (stream, image):
            end = _ENDS.get(image.format or "")
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 64))
            if end is None or not stream.read().rstrip(b"\0").endswith(end):
                read_image(path)
    except ImageReadError as error:
        return error
    return None


def has_16_bits(path: Path) -> bool:
    """Tell whether an image stores 16 bits per channel, of which reading keeps the high byte."""
    with _opened(path, MAX_PIXELS) as (_, image):
        return ";16" in str(image.tile)  # Pillow's name of how its values are stored


def is_image_name(name: str) -> bool:
    """Tell images by their suffix; hidden files such as ``._a.jpg`` are none."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in READ_SUFFIXES


def is_image_content(path: Path) -> bool:
    """Tell an image by its first bytes."""
    try:
        with _opened(path, MAX_PIXELS):
            return True
    except ImageReadError:
        return False


@contextmanager
def _opened(
    source: Path | str | bytes, max_pixels: int
) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    """Open a file and read its header, and turn what goes wrong into an ``ImageReadError``."""
    name = f"<{len(source):,} bytes>" if isinstance(source, bytes) else source
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream,
            warnings.catch_warnings(),
        ):
            # Pillow's remarks on odd metadata; the limits below replace its alarm about the size.
            warnings.simplefilter("ignore")
            image = Image.open(stream, formats=FORMATS)
            width, height = image.size
            if width * height > max_pixels:
                size = f"{width} x {height}"
                raise ImageReadError(name, f"{size} is more than {max_pixels:,} pixels")
            if max(width, height) > MAX_SIDE:
                side = f"{max(width, height):,} pixels"
                raise ImageReadError(name, f"a side of {side} is more than {MAX_SIDE:,}")
            yield stream, image

    except ImageReadError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(name, "no such file") from error
    except UnidentifiedImageError as error:
        known = "JPEG, PNG, WebP, BMP, GIF, TIFF or PPM"
        raise ImageReadError(name, f"it is not an image in a known format ({known})") from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(name, f"more than {max_pixels:,} pixels") from error
    except Exception as error:  # decoders have no common error, and their list grows
        raise ImageReadError(name, str(error) or type(error).__name__) from error


def _decode_jpeg(stream: BinaryIO, image: Image.Image) -> RGBImage | None:
    """Decode an ordinary JPEG with OpenCV, which turns it upright.

    Returns None for one that Pillow should judge: CMYK, or without its end marker.
    """
    if image.mode not in ("RGB", "L"):
        return None
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    if not content.rstrip(b"\0").endswith(_ENDS["JPEG"]):
        return None

    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image the way its EXIF orientation says."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken metadata is as good as none
        return image


def _to_rgb(image: Image.Image) -> RGBImage:
    """Convert any Pillow mode to 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip it to white
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its 32-bit integers have no defined range; save it with 8 or 16 bits")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ValueError("floating-point values have no defined range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))
