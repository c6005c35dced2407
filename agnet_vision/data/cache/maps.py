"""Arrays of a list of images, such as feature maps: computed once, stored, and memory-mapped.

A file is NumPy's own (``.npy``), in the order of the list, with the CRC-32 of its values behind
them. Its name has a digest of all that decides the values: the bytes of the images, and whatever
made the array of them.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from agnet_vision.data.cache.store import read_file
from agnet_vision.errors import CacheError, ImageReadError
from agnet_vision.files import open_atomically

CHECKSUM_BYTES = 4


def images_digest(paths: Iterable[Path]) -> str:
    """Compute a digest of the bytes of images, in their order.

    Raises:
        ImageReadError: one cannot be read.
    """
    digest = blake2b(digest_size=16)
    try:
        for path in paths:
            digest.update(read_file(str(path))[1])
    except OSError as error:
        raise ImageReadError(error.filename, error.strerror or str(error)) from error
    return digest.hexdigest()


def array_path(folder: Path, kind: str, images: str, made_by: Mapping[str, Any]) -> Path:
    """Name the file of an array.

    Args:
        folder: place of the files.
        kind: what the array is, for a reader of the folder.
        images: digest of the images.
        made_by: plain data that says how the array is made of them.
    """
    text = json.dumps([images, made_by], sort_keys=True)
    return folder / f"{kind}-{blake2b(text.encode(), digest_size=8).hexdigest()}.npy"


def stored_array(
    path: Path, shape: tuple[int, ...], dtype: str, parts: Callable[[], Iterable[np.ndarray]]
) -> np.ndarray:
    """Open a stored array, or compute and store it; a damaged one is computed again.

    Args:
        path: place of the file.
        shape: images first.
        dtype: NumPy's name of the type, such as ``float16``.
        parts: computes the array, a few images at a time.

    Raises:
        CacheError: the folder cannot be written.
    """
    found = _read(path, shape, dtype)
    if found is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, shape, dtype, parts())
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CacheError(f"cannot write {path}: {error}; choose another cache_dir") from error
        found = np.load(path, mmap_mode="r")
    return found


def _write(path: Path, shape: tuple[int, ...], dtype: str, parts: Iterable[np.ndarray]) -> None:
    """Write an array part by part."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    checksum = images = 0
    with open_atomically(path) as file:
        np.lib.format.write_array_header_2_0(file, header)
        for part in parts:
            content = np.ascontiguousarray(part, dtype).tobytes()
            checksum = zlib.crc32(content, checksum)
            images += len(part)
            file.write(content)
        if images != shape[0]:
            raise ValueError(f"parts must hold {shape[0]} images, got {images}")
        file.write(checksum.to_bytes(CHECKSUM_BYTES, "little"))


def _read(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    """Open an array, or return None where it is not there or not as it was written."""
    try:
        array = np.load(path, mmap_mode="r")
        with path.open("rb") as file:
            file.seek(-CHECKSUM_BYTES, os.SEEK_END)
            written = file.read()
    except (OSError, ValueError, EOFError):
        return None

    is_whole = path.stat().st_size == array.offset + array.nbytes + CHECKSUM_BYTES
    if not is_whole or array.shape != shape or array.dtype != np.dtype(dtype):
        return None
    checksum = zlib.crc32(array) if array.size else 0
    return array if checksum.to_bytes(CHECKSUM_BYTES, "little") == written else None
