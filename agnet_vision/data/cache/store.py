"""Labeled keypoints of a dataset, computed once and stored in a SQLite file.

A proposer's settings have a file of their own, with two tables. ``keypoints`` has a row per image
content: the BLAKE2 digest of the file's bytes (``content``), the points as little-endian float32
pairs in pixels (``xy``), the group of each point in a byte (``label``), and the CRC-32 of the three
(``checksum``). ``files`` has a row per path: size and times of the file when it was read.

Its rollback journal, unlike a write-ahead log, works in read-only folders and on network drives.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from rich.console import Console
from rich.progress import Progress

from agnet_vision.data.image import check_images, read_image
from agnet_vision.errors import CacheError, ConfigError, ImageReadError, extra_needed
from agnet_vision.files import user_cache
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

TABLES_FORMAT = 3  # raise when the tables change
TASK_IMAGES = 32  # enough for the batched mixtures, few enough to lose when a process is killed
BUSY_SECONDS = 60.0  # how long to wait for another process that writes
_TABLES = """
CREATE TABLE IF NOT EXISTS keypoints (content BLOB PRIMARY KEY, xy BLOB, label BLOB, checksum INT);
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, state TEXT, content BLOB);
"""

Found = tuple[str, str, bytes, Keypoints]  # path, and state and digest as read_file returns them


class StoredKeypoints(NamedTuple):
    """Labeled points of one image: ``Keypoints`` without the responses, which are not stored."""

    xy: Float[np.ndarray, "points 2"]
    group: Int[np.ndarray, " points"]


class RegionCache:
    """Stored keypoints of image files: ``cache[path]`` gives the labeled points of one.

    Many processes may read and write at once; this object may be pickled and forked.

    Args:
        folder: place of the stores.
        proposer: finder of the keypoints.
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

        What a killed call has saved is not computed again; damaged rows are. The work is done by
        ``workers`` processes on this machine (None: one per core), or by those of the Dask
        scheduler at the address ``scheduler`` (``tcp://host:port``), who see the same paths.
        ``progress`` draws a bar with a time estimate on stderr.

        Raises:
            ImageReadError: an image cannot be read; most are found before anything is computed.
            CacheError: the file is damaged as a whole, or cannot be written.
            OSError: the folder cannot be made, or the disk is full.
        """
        path = database_path(folder, proposer)
        path.parent.mkdir(parents=True, exist_ok=True)
        missing = _find_missing(path, dict.fromkeys(map(os.path.abspath, paths)))
        if not missing:
            return cls(folder, proposer)
        check_images(map(Path, missing))  # seconds, where the keypoints may take hours

        starts = range(0, len(missing), TASK_IMAGES)
        tasks = (delayed(find_keypoints)(missing[i : i + TASK_IMAGES], proposer) for i in starts)
        cluster = _connect_cluster(scheduler) if scheduler else nullcontext()
        bar = Progress(console=Console(stderr=True), disable=not progress)
        with cluster, parallel_config("dask" if scheduler else "loky", n_jobs=workers or -1), bar:
            results = Parallel(return_as="generator_unordered")(tasks)
            for found in bar.track(results, len(starts), description="extracting regions"):
                save(path, found)  # by this process alone: a cluster needs no shared folder
        if not scheduler and workers != 1:  # else idle processes stay, even if this one is killed
            get_reusable_executor().shutdown(wait=False)
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
            found = _find_unchanged(self._connect(), path)
            if found is None:
                found = _find_content(self._connect(), read_file(path)[1])
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
            self._connections[process] = _open(self.path)
        return self._connections[process]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_connections": {}}


def default_cache_folder(root: Path) -> Path:
    """Return the folder beside a dataset, or in the user's cache if the data is read-only."""
    if os.access(root, os.W_OK):
        return root / ".agnet_cache"
    return user_cache() / root.resolve().as_posix().strip("/").replace("/", "-")


def database_path(folder: Path | str, proposer: RegionProposer) -> Path:
    """Name the file of a proposer's settings: readable, and unique by their digest."""
    settings = json.dumps({**proposer.settings(), "format": TABLES_FORMAT}, sort_keys=True)
    digest = blake2b(settings.encode(), digest_size=6).hexdigest()
    name = f"{proposer.source}-{proposer.detector}-{proposer.num_clusters}-{digest}.sqlite"
    return Path(folder).absolute() / name


def save(path: Path, found: Iterable[Found]) -> None:
    """Write results into a file, all or none of them."""
    with _explained(path), closing(_open(path)) as connection, connection:
        for file, state, content, points in found:
            xy, label = points.xy.astype("<f4").tobytes(), points.group.astype("u1").tobytes()
            row = (content, xy, label, zlib.crc32(content + xy + label))
            connection.execute("INSERT OR REPLACE INTO keypoints VALUES (?, ?, ?, ?)", row)
            register(connection, file, state, content)


def register(connection: sqlite3.Connection, path: str, state: str, content: bytes) -> None:
    """Store which content a file has."""
    row = (os.fsencode(path), state, content)
    connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", row)


def file_state(path: str) -> str:
    """Return what changes whenever a file's bytes do: its size, and the times of its changes."""
    stat = os.stat(path)
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def read_file(path: str) -> tuple[str, bytes, bytes]:
    """Return a file's state, the digest of its bytes, and these."""
    state = file_state(path)  # asked first: a file replaced while it is read will not match later
    content = Path(path).read_bytes()
    return state, blake2b(content, digest_size=16).digest(), content


def find_keypoints(paths: Sequence[str], proposer: RegionProposer) -> list[Found]:
    """Find the keypoints of a few images, in a worker or on a cluster, with one thread."""
    files, images = [], []
    for path in paths:
        state, digest, content = read_file(path)
        files.append((path, state, digest))
        try:
            images.append(read_image(content))
        except ImageReadError as error:
            raise ImageReadError(path, error.reason) from error

    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        keypoints = proposer.keypoints_many(images)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return [(*file, points) for file, points in zip(files, keypoints, strict=True)]


def _find_missing(path: Path, wanted: Iterable[str]) -> list[str]:
    """List the images whose content is not stored; register files that were moved or touched."""
    with _explained(path), closing(_open(path)) as connection, connection:
        connection.executescript(_TABLES)
        missing = [each for each in wanted if _find_unchanged(connection, each) is None]
        if not connection.execute("SELECT 1 FROM keypoints").fetchone():
            return missing

        files = [(each, *read_file(each)[:2]) for each in missing]
        known = {file for file in files if _find_content(connection, file[2]) is not None}
        for file in known:
            register(connection, *file)
        return [file[0] for file in files if file not in known]


def _find_unchanged(connection: sqlite3.Connection, path: str) -> StoredKeypoints | None:
    """Read the keypoints of a file that has not been touched since they were found."""
    query = "SELECT content FROM files WHERE path = ? AND state = ?"
    row = connection.execute(query, (os.fsencode(path), file_state(path))).fetchone()
    return None if row is None else _find_content(connection, row[0])


def _find_content(connection: sqlite3.Connection, content: bytes) -> StoredKeypoints | None:
    """Read the keypoints of a content, or None where the row does not hold what was written."""
    query = "SELECT xy, label, checksum FROM keypoints WHERE content = ?"
    row = connection.execute(query, (content,)).fetchone()
    if row is None or zlib.crc32(content + row[0] + row[1]) != row[2]:
        return None
    xy = np.frombuffer(row[0], "<f4").astype(np.float32).reshape(-1, 2)
    return StoredKeypoints(xy, np.frombuffer(row[1], np.uint8).astype(np.int64))


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)


def _connect_cluster(scheduler: str) -> AbstractContextManager[object]:
    """Connect to a Dask cluster."""
    with extra_needed("cluster"):
        from distributed import Client
    try:
        return Client(scheduler, timeout=30)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at scheduler={scheduler}: {error}") from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which image cannot be read, or what is wrong with the stored keypoints."""
    try:
        yield
    except OSError as error:
        raise ImageReadError(error.filename, error.strerror or str(error)) from error
    except sqlite3.Error as error:
        text = str(error)  # there are codes only from Python 3.11 on
        if "disk is full" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise CacheError(
            f"{path} cannot be used ({text}); try again if another process writes to it, else "
            "delete it to rebuild it, or choose another cache_dir"
        ) from error
