"""Labeled keypoints of a dataset, computed once and stored.

Every loader worker reads them. An entry belongs to an image's *content* and a proposer's settings.
Each row also remembers what the file system said about the file (size and times), so that reading
costs one ``stat``; if that differs the content is hashed, and an entry of other content is never
used. Work is saved every few seconds: a killed run resumes where it was. The format is in ``rows``.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any

from agnet_vision.data.cache.extraction import extract_all
from agnet_vision.data.cache.rows import hash_content, hash_path, signature_of, write_rows
from agnet_vision.data.cache.shards import Shard, list_shards, merge_shards
from agnet_vision.data.image import check_images, combine_errors
from agnet_vision.errors import CacheError, ImageReadError
from agnet_vision.files import write_atomically
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

FORMAT = 1  # raise when the columns of a shard change


class DamagedCacheWarning(UserWarning):
    """A warning that a file of the cache was damaged.

    Its images are computed again.
    """


class RegionCache:
    """Stored keypoints of image files.

    ``cache[path]`` gives the labeled points of the image file at ``path``.

    Cheap to pickle: a copy in a loader worker maps the same files and shares their pages.

    Args:
        folder: where caches live; each proposer's settings have a folder of their own in it.
        proposer: whose keypoints these are.

    Raises:
        CacheError: nothing is stored for these settings, or a file is damaged.
    """

    def __init__(self, folder: Path | str, proposer: RegionProposer) -> None:
        self.folder = settings_folder(folder, proposer)
        self._names: list[Path] = []
        self._num_clusters = proposer.num_clusters
        self._shards: list[Shard] | None = _open_all(self.folder, self._num_clusters)
        if not self._shards:
            raise CacheError(
                f"no regions are stored in {self.folder} for {proposer}; "
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

        A second call costs one ``stat`` an image.

        Args:
            paths: image files.
            proposer: finds and groups the keypoints.
            folder: where caches live.
            workers: processes on this machine; all cores by default.
            scheduler: address of a Dask scheduler (``tcp://host:port``) whose workers see the same
                paths; replaces ``workers``.
            progress: draw a bar with a time estimate on stderr.

        Raises:
            ImageReadError: an image cannot be read. What shows at its head or end is said before
                anything is computed; of damage elsewhere all others are stored first.
            ConfigError: the scheduler does not answer.
        """
        store = settings_folder(folder, proposer)
        store.mkdir(parents=True, exist_ok=True)
        if not (store / "settings.json").exists():
            write_atomically(store / "settings.json", json.dumps(proposer.settings(), indent=2))
        wanted = list(dict.fromkeys(os.path.abspath(path) for path in paths))
        known = _open_healthy(store, proposer.num_clusters)
        missing = [path for path in wanted if _find_current(known, path) is None]
        if missing and known:
            missing = _adopt_known_content(missing, known, store)
        check_images(map(Path, missing))  # seconds, where the keypoints may take hours
        failures = extract_all(missing, proposer, store, workers, scheduler, progress)
        merge_shards(store, _open_healthy(store, proposer.num_clusters))
        if failures:
            raise combine_errors(failures)
        return cls(folder, proposer)

    def __len__(self) -> int:
        return sum(map(len, self._open()))

    def __contains__(self, path: Path | str) -> bool:
        return any(shard.rows_of(hash_path(os.path.abspath(path))) for shard in self._open())

    def __getitem__(self, path: Path | str) -> Keypoints:
        """Return the keypoints of an image file.

        Raises:
            CacheError: the file was not there when the regions were extracted, or has changed
                since.
        """
        path = os.path.abspath(path)
        found = _find_current(self._open(), path)
        if found is None:
            found = self._find_by_content(path)
        shard, row = found
        return shard.keypoints(row)

    def _find_by_content(self, path: str) -> tuple[Shard, int]:
        key, content = hash_path(path), hash_content(path)
        rows = [(shard, row) for shard in self._open() for row in shard.rows_of(key)]
        for shard, row in rows:
            if shard.content(row) == content:
                return shard, row
        state = "has changed since its regions were stored" if rows else "has no regions"
        raise CacheError(f"{path} {state} in {self.folder}; extract the regions again")

    def _open(self) -> list[Shard]:
        """Map the verified files on first use in this process."""
        if self._shards is None:
            try:
                self._shards = [
                    Shard(path, num_clusters=self._num_clusters, verify=False)
                    for path in self._names
                ]
            except FileNotFoundError:  # merged by another process since
                self._shards = _open_all(self.folder, self._num_clusters)
        return self._shards

    def __getstate__(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "_num_clusters": self._num_clusters,
            "_names": [shard.path for shard in self._open()],
            "_shards": None,
        }


def default_cache_folder(root: Path) -> Path:
    """Return the default folder of the cache.

    It lies beside the data, or in the user's cache folder where the data is read-only.
    """
    if os.access(root, os.W_OK):
        return root / ".agnet_cache"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "agnet_vision" / root.resolve().as_posix().strip("/").replace("/", "-")


def settings_folder(folder: Path | str, proposer: RegionProposer) -> Path:
    """Name the folder of a proposer's settings.

    The name is readable, and unique by the settings' digest.
    """
    content = json.dumps({**proposer.settings(), "format": FORMAT}, sort_keys=True)
    digest = blake2b(content.encode(), digest_size=6).hexdigest()
    return Path(folder) / f"{proposer.source}-{proposer.detector}-{proposer.num_clusters}-{digest}"


def _find_current(shards: Sequence[Shard], path: str) -> tuple[Shard, int] | None:
    """Find the row whose file has not been touched since.

    Raises:
        ImageReadError: the path is gone.
    """
    try:
        signature = signature_of(path)
    except FileNotFoundError as error:
        raise ImageReadError(path, "no such file") from error
    key = hash_path(path)
    for shard in reversed(shards):
        for row in shard.rows_of(key):
            if shard.signature(row) == signature:
                return shard, row
    return None


def _open_all(store: Path, num_clusters: int) -> list[Shard]:
    """Open the shards of a folder.

    Where another process merges them meanwhile, look again.
    """
    try:
        return [Shard(path, num_clusters=num_clusters) for path in list_shards(store)]
    except FileNotFoundError:  # every merge leaves fewer files, so this ends
        return _open_all(store, num_clusters)


def _open_healthy(store: Path, num_clusters: int) -> list[Shard]:
    """Open the healthy shards of a folder.

    Damaged ones are deleted and their images computed again.
    """
    shards = (_open_or_delete(path, num_clusters) for path in list_shards(store))
    return [shard for shard in shards if shard is not None]


def _open_or_delete(path: Path, num_clusters: int) -> Shard | None:
    try:
        return Shard(path, num_clusters=num_clusters)
    except FileNotFoundError:  # merged by another process since
        return None
    except CacheError as error:
        warnings.warn(f"{error}: computing its images again", DamagedCacheWarning, stacklevel=4)
        path.unlink(missing_ok=True)
        return None


def _adopt_known_content(missing: Sequence[str], known: Sequence[Shard], store: Path) -> list[str]:
    """Copy the rows of files that were moved or touched.

    The result is the paths whose content is new.
    """
    rows_by_content = {
        shard.content(row): (shard, row) for shard in known for row in range(len(shard))
    }
    with ThreadPoolExecutor() as pool:  # reading and hashing release the interpreter lock
        contents = list(pool.map(hash_content, missing))
    adopted, new = [], []
    for path, content in zip(missing, contents, strict=True):
        if content in rows_by_content:
            shard, row = rows_by_content[content]
            old = {name: shard.batch.column(name)[row].as_py() for name in shard.batch.schema.names}
            adopted.append(
                {**old, "path": path, "path_hash": hash_path(path), **signature_of(path)._asdict()}
            )
        else:
            new.append(path)
    if adopted:
        write_rows(store, adopted)
    return new
