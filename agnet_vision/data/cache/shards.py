"""The files of a region cache: immutable Arrow tables, one row an image, named by their own checksum.

A shard is written under a temporary name and renamed when complete, so a reader never sees half of one; its name is the
BLAKE2 digest of its bytes, so two writers cannot collide and damage shows when it is opened. Rows are sorted by a hash of
the path and found by binary search in the memory map: no index is built, and nothing is copied into a loader worker.

Columns: ``path``; ``path_hash`` (uint64); ``size``, ``mtime_ns``, ``ctime_ns`` of the file; ``content`` (16-byte digest of
its bytes); ``width``, ``height`` in pixels; ``x``, ``y`` (lists of uint16: fractions of width and height in 65535ths);
``response`` (lists of float16, divided by the row's strongest, ``scale``); ``group`` (lists of uint8).
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from agnet_vision.errors import CacheError, ImageReadError
from agnet_vision.structures import Keypoints

FIXED_POINT = 65535
SUFFIX = ".arrow"
STALE_TEMPORARY_SECONDS = 3600  # a temporary file this old was left by a killed process
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
    """What the file system says about a file; it changes whenever the content does."""

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
    """Pack one image's keypoints into a row: 7 bytes a point."""
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


class Shard:
    """One memory-mapped file: NumPy views of its columns, nothing copied.

    Raises:
        CacheError: the file is damaged (only when ``verify``) or not a shard of this format.
    """

    def __init__(self, path: Path, *, verify: bool = True) -> None:
        self.path = path
        try:
            source = pa.memory_map(str(path))
            if verify and blake2b(source.read_buffer(), digest_size=16).hexdigest() != path.stem:
                raise CacheError(
                    f"{path} is damaged: its checksum is not the one in its name; delete it to rebuild it"
                )
            self.batch = pa.ipc.open_file(source).get_batch(0)
        except pa.ArrowInvalid as error:
            raise CacheError(f"{path} is damaged ({error}); delete it to rebuild it") from error
        if self.batch.schema.remove_metadata() != SCHEMA:
            raise CacheError(
                f"{path} has other columns than this version writes; delete it to rebuild it"
            )
        self.path_hash = self._column("path_hash")
        self._signature = [self._column(name) for name in Signature._fields]
        self._width, self._height, self._scale = (
            self._column(name) for name in ("width", "height", "scale")
        )
        lists = [self.batch.column(name) for name in ("x", "y", "response", "group")]
        self._start = lists[0].offsets.to_numpy()
        self._x, self._y, self._response, self._group = (
            values.values.to_numpy() for values in lists
        )

    def __len__(self) -> int:
        return len(self.path_hash)

    def _column(self, name: str) -> np.ndarray:
        return self.batch.column(name).to_numpy()

    def rows_of(self, path_hash: int) -> range:
        """Find the rows of a path: none, one, or one for each content it has had."""
        key = np.uint64(path_hash)
        start = int(np.searchsorted(self.path_hash, key))
        stop = start
        while stop < len(self) and self.path_hash[stop] == key:
            stop += 1
        return range(start, stop)

    def signature(self, row: int) -> Signature:
        """Return what the file system said about the file when the row was written."""
        return Signature(*(int(column[row]) for column in self._signature))

    def content(self, row: int) -> bytes:
        """Return the digest of the file's bytes."""
        return self.batch.column("content")[row].as_py()

    def keypoints(self, row: int) -> Keypoints:
        """Unpack one image's keypoints."""
        points = slice(int(self._start[row]), int(self._start[row + 1]))
        xy = np.empty((points.stop - points.start, 2), dtype=np.float32)
        np.multiply(self._x[points], self._width[row] / FIXED_POINT, out=xy[:, 0], casting="unsafe")
        np.multiply(
            self._y[points], self._height[row] / FIXED_POINT, out=xy[:, 1], casting="unsafe"
        )
        response = self._response[points].astype(np.float32) * self._scale[row]
        return Keypoints(xy, response, self._group[points].astype(np.int64))


def write_shard(folder: Path, table: pa.Table) -> Path:
    """Write a table as one shard; it appears complete or not at all."""
    order = pa.compute.sort_indices(table, sort_keys=[("path_hash", "ascending")])
    batch = table.take(order).combine_chunks().to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    path = folder / f"{blake2b(content, digest_size=16).hexdigest()}{SUFFIX}"
    write_atomically(path, content)
    return path


def write_rows(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write packed images as one shard."""
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    return write_shard(folder, pa.table(columns, schema=SCHEMA))


def write_atomically(path: Path, content: bytes | pa.Buffer) -> None:
    """Write a file under another name, flush it to the disk, then rename it."""
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def list_shards(folder: Path) -> list[Path]:
    """Name the shards of a folder, oldest first; one merged away meanwhile by another process does not count."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def merge_shards(folder: Path, shards: Iterable[Shard]) -> None:
    """Replace several shards by one with the newest row of each path and content, then delete what it replaces.

    Two processes may merge at once: each deletes only shards whose rows lie in a complete file of its own.
    """
    shards = list(shards)
    _delete_stale_temporaries(folder)
    if len(shards) < 2:
        return
    table = pa.Table.from_batches([shard.batch for shard in shards])
    keys = zip(table["path_hash"].to_pylist(), table["content"].to_pylist(), strict=True)
    newest = {key: row for row, key in enumerate(keys)}
    merged = write_shard(folder, table.take(pa.array(sorted(newest.values()))))
    for shard in shards:
        if shard.path != merged:
            with contextlib.suppress(
                OSError
            ):  # merged by another process already, or (Windows) still read by one
                shard.path.unlink()


def _delete_stale_temporaries(folder: Path) -> None:
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # its owner renamed it meanwhile
            if time.time() - path.stat().st_mtime > STALE_TEMPORARY_SECONDS:
                path.unlink()
