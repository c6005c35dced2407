"""Labeled keypoints of a dataset, computed once and stored in a SQLite file.

A proposer's settings have a file of their own, with three tables. ``keypoints`` has a row per image
content: the BLAKE2 digest of the file's bytes (``content``), the points as little-endian float32
pairs in pixels (``xy``), the group of each point in a byte (``label``), and the CRC-32 of the three
(``checksum``). ``files`` has a row per path: what the file system said of the file when it was
read. ``settings`` has the proposer's, as JSON.

Where the file system says something else than before, the content is hashed, and an entry of other
content is never used. The journal is a rollback journal: unlike the write-ahead log it works in
read-only folders, and between machines that share a network drive with locks.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from agnet_vision.data.cache.extraction import (
    FileContent,
    Found,
    extract_all,
    file_state,
    read_file,
)
from agnet_vision.data.image import check_images, combine_errors
from agnet_vision.errors import CacheError
from agnet_vision.regions.proposer import RegionProposer

TABLES_FORMAT = 2  # raise when the tables change
BUSY_SECONDS = 60.0  # how long to wait for another process that writes
_TABLES = """
CREATE TABLE IF NOT EXISTS settings (json TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS keypoints (content BLOB PRIMARY KEY, xy BLOB, label BLOB, checksum INT);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT,
    content BLOB);
"""
_ALL = "SELECT content, xy, label, checksum FROM keypoints"
_BY_CONTENT = f"{_ALL} WHERE content = ?"
_BY_PATH = """SELECT size, mtime_ns, ctime_ns, content, xy, label, checksum
    FROM files JOIN keypoints USING (content) WHERE path = ?"""


class StoredKeypoints(NamedTuple):
    """Labeled points of one image, without the responses of ``Keypoints``, which are not stored.

    Attributes:
        xy: positions in pixels, exactly as they were found; float32.
        group: index of the semantic group of each point; int64.
    """

    xy: Float[np.ndarray, "points 2"]
    group: Int[np.ndarray, " points"]


class RegionCache:
    """Stored keypoints of image files: ``cache[path]`` gives the labeled points of one.

    Many processes may read and write at once. A copy in a loader worker, pickled or forked, opens a
    connection of its own.

    Args:
        folder: place of the stores.
        proposer: finder of the keypoints.

    Raises:
        CacheError: nothing is stored for these settings, or the file is damaged.
    """

    def __init__(self, folder: Path | str, proposer: RegionProposer) -> None:
        self.path = database_path(folder, proposer)
        self._connections: dict[int, sqlite3.Connection] = {}
        if not self.path.is_file() or not len(self):
            raise CacheError(
                f"no regions are stored in {self.path} for {proposer}; "
                "extract them first, with the same options of regions"
            )

    @classmethod
    def build(
        cls,
        paths: Iterable[Path | str],
        proposer: RegionProposer,
        folder: Path | str,
        *,
        workers: int | None = None,
        scheduler: str | None = None,
        progress: bool = True,
    ) -> RegionCache:
        """Compute and store what is missing, then open the cache.

        What a killed call has saved is not computed again; damaged rows are.

        Args:
            paths: image files.
            proposer: finder of the keypoints.
            folder: place of the stores.
            workers: processes on this machine; None: one per core.
            scheduler: address of a Dask scheduler (``tcp://host:port``) whose workers see the same
                paths; replaces ``workers``.
            progress: whether a bar with a time estimate is drawn on stderr.

        Raises:
            ImageReadError: an image cannot be read. What shows at its head or end is said before
                anything is computed; of damage elsewhere all others are stored first.
            ConfigError: the scheduler does not answer.
            CacheError: the file is damaged as a whole.
            OSError: the folder cannot be written, or the disk is full.
        """
        path = database_path(folder, proposer)
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = list(dict.fromkeys(os.path.abspath(each) for each in paths))
        missing = _find_missing(path, wanted, proposer)
        check_images(map(Path, missing))  # seconds, where the keypoints may take hours

        failures = extract_all(
            missing,
            proposer,
            partial(save, path),
            workers=workers,
            scheduler=scheduler,
            progress=progress,
        )
        if failures:
            raise combine_errors(failures)
        return cls(folder, proposer)

    def __len__(self) -> int:
        with _explained(self.path):
            return self._connect().execute("SELECT COUNT(*) FROM files").fetchone()[0]

    def __getitem__(self, path: Path | str) -> StoredKeypoints:
        """Return the keypoints of an image file.

        Raises:
            CacheError: the image is new or has changed, or what was stored is damaged.
        """
        path = os.path.abspath(path)
        with _explained(self.path):
            found = _find_current(self._connect(), path)
            if found is None:
                digest = read_file(path)[0].digest
                row = self._connect().execute(_BY_CONTENT, (digest,)).fetchone()
                found = row and _unpack(*row)
        if found is None:
            raise CacheError(
                f"{self.path} has no regions of {path}: it is new, it has changed, or they were "
                "damaged; extract them again"
            )
        return found

    def _connect(self) -> sqlite3.Connection:
        """Open the file once per process: a connection does not survive a fork."""
        process = os.getpid()
        if process not in self._connections:
            self._connections[process] = _open(self.path, "rw")
        return self._connections[process]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_connections": {}}


def default_cache_folder(root: Path) -> Path:
    """Return the folder beside a dataset, or in the user's cache if the data is read-only."""
    if os.access(root, os.W_OK):
        return root / ".agnet_cache"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "agnet_vision" / root.resolve().as_posix().strip("/").replace("/", "-")


def database_path(folder: Path | str, proposer: RegionProposer) -> Path:
    """Name the file of a proposer's settings: readable, and unique by their digest."""
    settings = json.dumps({**proposer.settings(), "format": TABLES_FORMAT}, sort_keys=True)
    digest = blake2b(settings.encode(), digest_size=6).hexdigest()
    name = f"{proposer.source}-{proposer.detector}-{proposer.num_clusters}-{digest}.sqlite"
    return Path(folder).absolute() / name


def save(path: Path, found: Iterable[Found]) -> None:
    """Write results into a file, all or none of them."""
    keypoints = []
    for file, points in found:
        xy, label = points.xy.astype("<f4").tobytes(), points.group.astype("u1").tobytes()
        keypoints.append((file.digest, xy, label, _checksum(file.digest, xy, label)))
    with _connection(path) as connection:
        connection.executemany("INSERT OR REPLACE INTO keypoints VALUES (?, ?, ?, ?)", keypoints)
        register(connection, [file for file, _ in found])


def _find_missing(path: Path, wanted: Sequence[str], proposer: RegionProposer) -> list[str]:
    """List the images whose content is not stored; register files that were moved or touched."""
    with _connection(path, "rwc") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.executescript(_TABLES)
            settings = json.dumps(proposer.settings())
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?)", (settings,))
            connection.commit()
        missing = [each for each in wanted if _find_current(connection, each) is None]
        if not missing:
            return []

        known = {row[0] for row in connection.execute(_ALL) if _unpack(*row) is not None}
        if not known:
            return missing
        with ThreadPoolExecutor() as pool:  # reading and hashing release the interpreter lock
            files = list(pool.map(lambda each: read_file(each)[0], missing))
        register(connection, [file for file in files if file.digest in known])
        return [file.path for file in files if file.digest not in known]


def _find_current(connection: sqlite3.Connection, path: str) -> StoredKeypoints | None:
    """Read the keypoints of a file that has not been touched since they were found."""
    state = file_state(path)
    row = connection.execute(_BY_PATH, (_as_text(path),)).fetchone()
    return None if row is None or row[:3] != state else _unpack(*row[3:])


def register(connection: sqlite3.Connection, files: Iterable[FileContent]) -> None:
    """Store which content files have."""
    rows = [(_as_text(file.path), *file[1:]) for file in files]
    connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)


def _as_text(path: str) -> str:
    """Spell a path as text, whatever its bytes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _checksum(content: bytes, xy: bytes, label: bytes) -> int:
    return zlib.crc32(label, zlib.crc32(xy, zlib.crc32(content)))


def _unpack(content: bytes, xy: bytes, label: bytes, checksum: int) -> StoredKeypoints | None:
    """Read a row, or None where it does not hold what was written."""
    if _checksum(content, xy, label) != checksum:
        return None
    positions = np.frombuffer(xy, "<f4").astype(np.float32).reshape(-1, 2)
    return StoredKeypoints(positions, np.frombuffer(label, np.uint8).astype(np.int64))


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file; the mode ``rwc`` makes one that is missing."""
    address = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)


@contextmanager
def _connection(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Open a file for a while, and commit at the end."""
    with _explained(path), closing(_open(path, mode)) as connection, connection:
        yield connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell SQLite's errors apart by their texts; they have codes only from Python 3.11 on."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "disk is full" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if "unable to open" in text or "readonly" in text:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from error
        if "locked" in text:
            raise CacheError(f"{path} is being written by another process; try again") from error
        raise CacheError(
            f"{path} is damaged or cannot be used ({text}); delete it to rebuild it, or choose "
            "another cache_dir"
        ) from error
