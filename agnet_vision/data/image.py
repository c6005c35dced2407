"""A file on disk -> an 8-bit RGB array; the only place where images are decoded."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from agnet_vision.errors import ImageReadError

MAX_PIXELS = (
    80_000_000  # ours: above the largest photographs of the six benchmarks, below Pillow's own alarm (89 million)
)

# What Pillow's decoders raise on damaged files, apart from OSError.
_DECODER_ERRORS = (SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, ZeroDivisionError)


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an image file into a contiguous 8-bit RGB array.

    The EXIF orientation is applied; palettes, grey, CMYK and 16-bit images are converted (16-bit values keep their high
    byte); transparency is laid over white; an animation gives its first frame.

    Args:
        path: any format Pillow reads.
        max_pixels: refuse larger images before they are decoded (ours; a decompression bomb would take the memory).

    Raises:
        ImageReadError: no such file, not an image, truncated, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Pillow's remarks on odd metadata; its size alarm is replaced by max_pixels
            with Image.open(path) as image:
                _check_size(path, image.size, max_pixels)
                image.load()
                return np.ascontiguousarray(_to_rgb(path, ImageOps.exif_transpose(image)))
    except ImageReadError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(path, "no such file") from error
    except UnidentifiedImageError as error:
        raise ImageReadError(path, "it is not an image, or its format is unknown") from error
    except Image.DecompressionBombError as error:
        raise ImageReadError(path, f"more than {max_pixels:,} pixels") from error
    except (OSError, *_DECODER_ERRORS) as error:
        raise ImageReadError(path, str(error) or type(error).__name__) from error


def _check_size(path: Path | str, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse images that are empty or too large to decode."""
    width, height = size
    if width * height == 0:
        raise ImageReadError(path, f"it is empty ({width} x {height} pixels)")
    if width * height > max_pixels:
        raise ImageReadError(path, f"{width} x {height} is more than {max_pixels:,} pixels")


def _to_rgb(path: Path | str, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Convert any Pillow mode to 8-bit RGB."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageReadError(path, "its 32-bit integers have no defined range; save it with 8 or 16 bits")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageReadError(path, "its floating-point values have no defined range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))
