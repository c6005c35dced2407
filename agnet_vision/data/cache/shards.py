"""The files of a region cache.

They are immutable Arrow tables named by their own checksum. Two writers cannot collide, and damage
shows when a file is opened. A matching name is no proof of good intent, so every offset, size and
value is checked once as well: a forged file is refused, not used. Rows are sorted by a hash of the
path and found by binary search in the memory map. No index is built, and nothing is copied into a
loader worker.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from agnet_vision.data.cache.rows import FIXED_POINT, SCHEMA, SUFFIX, Signature, write_shard
from agnet_vision.data.image import MAX_SIDE
from agnet_vision.errors import CacheError
from agnet_vision.files import TEMPORARY_PATTERN
from agnet_vision.structures import Keypoints

STALE_TEMPORARY_SECONDS = 3600  # a temporary file this old was left by a killed process
_LISTS = ("x", "y", "response", "group")


class Shard:
    """One memory-mapped file: NumPy views of its columns, nothing copied.

    Args:
        path: the file.
        num_clusters: kappa of the proposer; no group may be larger.
        verify: check name, structure and values; a worker opens what was verified before.

    Raises:
        CacheError: the file is damaged, forged, or not a shard of this format.
        FileNotFoundError: another process has merged it away.
    """

    def __init__(self, path: Path, *, num_clusters: int, verify: bool = True) -> None:
        self.path = path
        try:
            self.batch = _read_batch(path, num_clusters, verify)
        except (CacheError, FileNotFoundError):
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        self.path_hash = self._column("path_hash")
        self._signature = [self._column(name) for name in Signature._fields]
        self._width, self._height = self._column("width"), self._column("height")
        self._scale = self._column("scale")
        self._start = self.batch.column("x").offsets.to_numpy()
        self._x, self._y, self._response, self._group = (
            self.batch.column(name).values.to_numpy() for name in _LISTS
        )

    def __len__(self) -> int:
        return len(self.path_hash)

    def _column(self, name: str) -> np.ndarray:
        return self.batch.column(name).to_numpy()

    def rows_of(self, path_hash: int) -> range:
        """Find the rows of a path.

        There is none, one, or one for each content the path has had.
        """
        key = np.uint64(path_hash)
        start = int(np.searchsorted(self.path_hash, key, side="left"))
        stop = int(np.searchsorted(self.path_hash, key, side="right"))
        return range(start, stop)

    def signature(self, row: int) -> Signature:
        """Return the file's signature when the row was written.

        This is what the file system said about the file.
        """
        return Signature(*(int(column[row]) for column in self._signature))

    def content(self, row: int) -> bytes:
        """Return the digest of the file's bytes."""
        return self.batch.column("content")[row].as_py()

    def keypoints(self, row: int) -> Keypoints:
        """Unpack one image's keypoints."""
        points = slice(int(self._start[row]), int(self._start[row + 1]))
        xy = np.empty((points.stop - points.start, 2), dtype=np.float32)
        scale_x, scale_y = self._width[row] / FIXED_POINT, self._height[row] / FIXED_POINT
        np.multiply(self._x[points], scale_x, out=xy[:, 0], casting="unsafe")
        np.multiply(self._y[points], scale_y, out=xy[:, 1], casting="unsafe")
        response = self._response[points].astype(np.float32) * self._scale[row]
        return Keypoints(xy, response, self._group[points].astype(np.int64))


def _damaged(path: Path, reason: str) -> CacheError:
    return CacheError(f"{path} is damaged ({reason}); delete it to rebuild it")


def _read_batch(path: Path, num_clusters: int, verify: bool) -> pa.RecordBatch:
    """Map a file and check it."""
    source = pa.memory_map(str(path))
    if verify and blake2b(source.read_buffer(), digest_size=16).hexdigest() != path.stem:
        raise _damaged(path, "its checksum is not the one in its name")
    reader = pa.ipc.open_file(source)
    if reader.schema.remove_metadata() != SCHEMA:
        raise CacheError(
            f"{path} has other columns than this version writes; delete it to rebuild it"
        )
    if reader.num_record_batches != 1:
        raise _damaged(path, f"{reader.num_record_batches} tables instead of one")
    batch = reader.get_batch(0)
    if verify and (reason := _what_is_wrong(batch, num_clusters)):
        raise _damaged(path, reason)
    return batch


def _what_is_wrong(batch: pa.RecordBatch, num_clusters: int) -> str:
    """Check structure and values.

    Nothing may be read from a batch before Arrow has validated it.
    """
    batch.validate(full=True)
    lists = [batch.column(name) for name in _LISTS]
    if any(column.null_count or column.offset for column in batch.columns):
        return "a value is missing"
    if any(column.values.null_count or column.values.offset for column in lists):
        return "a point is missing"

    offsets = [column.offsets.to_numpy() for column in lists]
    points = len(lists[0].values)
    whole = offsets[0][0] == 0 and offsets[0][-1] == points
    if not whole or any(not np.array_equal(offsets[0], other) for other in offsets[1:]):
        return "its lists differ in length"
    if any(len(column.values) != points for column in lists):
        return "its lists differ in length"

    path_hash = batch.column("path_hash").to_numpy()
    if (path_hash[1:] < path_hash[:-1]).any():
        return "its rows are not in order"
    sides = np.stack([batch.column(name).to_numpy() for name in ("width", "height")])
    if (sides < 1).any() or (sides > MAX_SIDE).any():
        return f"an image's side is not within 1 to {MAX_SIDE:,} pixels"
    scale, response = batch.column("scale").to_numpy(), lists[2].values.to_numpy()
    if not np.isfinite(scale).all() or not np.isfinite(response).all():
        return "a response is not a number"
    if (lists[3].values.to_numpy() >= num_clusters).any():
        return f"a group is not below {num_clusters}"
    return ""


def list_shards(folder: Path) -> list[Path]:
    """Name the shards of a folder, oldest first.

    One merged away meanwhile does not count.
    """
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def merge_shards(folder: Path, shards: Iterable[Shard]) -> None:
    """Replace several shards by one.

    It holds the newest row of each path and content. Then what it replaces is deleted. Two
    processes may merge at once: each deletes only shards whose rows lie in a complete file of its
    own.

    Args:
        folder: where they lie, and where the new one goes.
        shards: open ones, the oldest first.
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
            # Merged by another process already, or (Windows) still read by one.
            with contextlib.suppress(OSError):
                shard.path.unlink()


def _delete_stale_temporaries(folder: Path) -> None:
    for path in folder.glob(TEMPORARY_PATTERN):
        with contextlib.suppress(FileNotFoundError):  # its owner renamed it meanwhile
            if time.time() - path.stat().st_mtime > STALE_TEMPORARY_SECONDS:
                path.unlink()
