"""The rows of a region cache, one an image.

This module also says how they are written.

Columns: ``path``; ``path_hash`` (uint64); ``size``, ``mtime_ns``, ``ctime_ns`` of the file;
``content`` (16-byte digest of its bytes); ``width``, ``height`` in pixels; ``x``, ``y`` (lists of
uint16: fractions of width and height in 65535ths); ``response`` (lists of float16, divided by the
row's strongest, ``scale``); ``group`` (lists of uint8).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from agnet_vision.errors import ImageReadError
from agnet_vision.files import write_atomically
from agnet_vision.structures import Keypoints

FIXED_POINT = 65535
SUFFIX = ".arrow"
SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "path_hash": pa.uint64(),
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "ctime_ns": pa.int64(),
        "content": pa.binary(16),
        "width": pa.uint32(),
        "height": pa.uint32(),
        "scale": pa.float32(),
        "x": pa.list_(pa.uint16()),
        "y": pa.list_(pa.uint16()),
        "response": pa.list_(pa.float16()),
        "group": pa.list_(pa.uint8()),
    }
)


class Signature(NamedTuple):
    """What the file system says about a file.

    It changes whenever the content does.
    """

    size: int
    mtime_ns: int
    ctime_ns: int


def signature_of(path: str) -> Signature:
    """Ask the file system about a file, without opening it."""
    stat = os.stat(path)
    return Signature(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def hash_path(path: str) -> int:
    """Map a path to 64 bits."""
    return int.from_bytes(blake2b(os.fsencode(path), digest_size=8).digest(), "little")


def hash_content(path: str) -> bytes:
    """Digest a file's bytes.

    Raises:
        ImageReadError: the file cannot be read.
    """
    try:
        return blake2b(Path(path).read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise ImageReadError(path, error.strerror or str(error)) from error


def encode_row(
    path: str, signature: Signature, content: bytes, image_size: tuple[int, int], points: Keypoints
) -> dict[str, Any]:
    """Pack one image's keypoints into a row.

    A point takes 7 bytes.

    Args:
        path: absolute path of the image.
        signature: of the file, taken before it was read.
        content: digest of its bytes.
        image_size: ``(width, height)`` in pixels.
        points: in pixels of the image.
    """
    width, height = image_size
    fixed = np.rint(points.xy.astype(np.float64) / (width, height) * FIXED_POINT).astype(np.uint16)
    scale = np.float32(np.abs(points.response).max(initial=0)) or np.float32(1)
    return {
        "path": path,
        "path_hash": hash_path(path),
        **signature._asdict(),
        "content": content,
        "width": width,
        "height": height,
        "scale": scale,
        "x": fixed[:, 0],
        "y": fixed[:, 1],
        "response": (points.response / scale).astype(np.float16),
        "group": points.group.astype(np.uint8),
    }


def write_rows(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write packed images as one shard.

    Args:
        folder: of the cache; it must be there.
        rows: from ``encode_row``, at least one.

    Returns:
        The file written.
    """
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    return write_shard(folder, pa.table(columns, schema=SCHEMA))


def write_shard(folder: Path, table: pa.Table) -> Path:
    """Write a table as one shard, named by its checksum.

    The shard appears complete or not at all.
    """
    order = pa.compute.sort_indices(table, sort_keys=[("path_hash", "ascending")])
    batch = table.take(order).combine_chunks().to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    path = folder / f"{blake2b(content, digest_size=16).hexdigest()}{SUFFIX}"
    write_atomically(path, content)
    return path
