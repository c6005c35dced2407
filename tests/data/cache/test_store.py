"""What is stored is right, never stale or damaged."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.cache import store
from agnet_vision.data.cache.store import RegionCache
from agnet_vision.errors import CacheError, ImageReadError
from agnet_vision.regions.proposer import RegionProposer
from tests.data.cache.builds import PROPOSER, build, check, write_images
from tests.regions.test_keypoints import texture


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images")


def test_value_stored_equals_computed(images: list[Path], tmp_path: Path) -> None:
    cache = build(images * 2, tmp_path / "cache")
    check(cache, images)
    assert len(cache) == len(images)
    assert len(cache[images[0]].xy) == 0

    # Any tool for SQLite reads the same.
    with closing(sqlite3.connect(cache.path)) as connection:
        (path, xy), *_ = connection.execute(
            "SELECT path, xy FROM files JOIN keypoints USING (content) ORDER BY path DESC"
        )
    assert os.fsdecode(path) == str(images[-1])
    np.testing.assert_array_equal(np.frombuffer(xy, "<f4").reshape(-1, 2), cache[images[-1]].xy)


def test_value_unchanged_touched_and_moved_files_are_known(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(images, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(RegionProposer, "keypoints_many", lambda *_: pytest.fail("computed again"))
        os.utime(images[1], ns=(1, 1))
        paths = [images[1], images[2].rename(tmp_path / "elsewhere.png"), *images[3:]]
        cache = build(paths, tmp_path / "cache")
        patch.setattr(Path, "read_bytes", lambda _: pytest.fail("an unchanged image is read"))
        build(map(str, paths), tmp_path / "cache")
    check(cache, paths)


def test_raises_changed_content(images: list[Path], tmp_path: Path) -> None:
    cache = build(images, tmp_path / "cache")
    Image.fromarray(texture(80, 80, seed=99)).save(images[4])
    with pytest.raises(CacheError, match=r"image é 4.*has changed"):
        cache[images[4]]
    check(build(images, tmp_path / "cache"), images)
    check(cache, images)
    os.utime(images[5], ns=(1, 1))
    check(cache, images[5:6])


def test_raises_unknown_image_or_settings(images: list[Path], tmp_path: Path) -> None:
    cache = build(images[:3], tmp_path / "cache")
    with pytest.raises(CacheError, match="it is new"):
        cache[images[5]]
    with pytest.raises(ImageReadError, match="No such file"):
        cache[tmp_path / "nothing.png"]
    with pytest.raises(CacheError, match="no regions are stored"):
        RegionCache(tmp_path / "cache", RegionProposer(seed=1))


def test_raises_on_an_unreadable_image_before_any_work(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not an image")
    with pytest.raises(ImageReadError, match=r"notes\.jpg as an image"):
        build([*images, tmp_path / "notes.jpg"], tmp_path / "cache")
    with pytest.raises(CacheError, match="no regions are stored"):
        RegionCache(tmp_path / "cache", PROPOSER)


def test_a_damaged_row_is_refused_and_computed_again(images: list[Path], tmp_path: Path) -> None:
    cache = build(images, tmp_path / "cache")
    xy = cache[images[3]].xy.tobytes()
    content = cache.path.read_bytes()
    assert content.count(xy) == 1
    cache.path.write_bytes(content.replace(xy, xy[:9] + bytes([xy[9] ^ 1]) + xy[10:]))

    damaged = RegionCache(tmp_path / "cache", PROPOSER)
    check(damaged, images[:3] + images[4:])
    with pytest.raises(CacheError, match=r"image é 3.*damaged"):
        damaged[images[3]]
    check(build(images, tmp_path / "cache"), images)


@pytest.mark.parametrize("damage", ["text", "truncated", "other tables"])
def test_raises_a_damaged_file(images: list[Path], tmp_path: Path, damage: str) -> None:
    path = build(images, tmp_path / "cache").path
    content = path.read_bytes()
    damaged = {
        "text": b"not a table" * 100,
        "truncated": content[: len(content) // 2],
        "other tables": content.replace(b"state", b"stage"),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(CacheError, match=r"sift-8-.*cannot be used .* delete it to rebuild it"):
        build(images, tmp_path / "cache")


def _read_in_child(cache: RegionCache, path: Path, answer: Connection) -> None:
    answer.send(cache[path].xy)


@pytest.mark.parametrize("start", [ForkContext(), SpawnContext()])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_value_workers_read_with_connections_of_their_own(
    images: list[Path], tmp_path: Path, start: ForkContext | SpawnContext
) -> None:
    cache = build(images, tmp_path / "cache")
    assert len(pickle.dumps(cache)) < 1000
    expected = cache[images[2]].xy  # the connection is open before the worker starts
    ours, theirs = start.Pipe()
    process = start.Process(target=_read_in_child, args=(cache, images[2], theirs))
    process.start()
    assert ours.poll(120)
    np.testing.assert_array_equal(ours.recv(), expected)
    process.join()
    check(cache, images)


def test_value_writers_wait_for_each_other(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = build(images[:4], tmp_path / "cache")
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(cache.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        check(cache, images[:4])  # nobody waits to read
        with pytest.raises(CacheError, match=r"locked.*if another process writes to it"):
            build(images, tmp_path / "cache")
    check(build(images, tmp_path / "cache"), images)


READ_ONLY = """
import os, sys
import numpy.random, sklearn.mixture  # where the interpreter lies, not everybody may read
from tests.data.cache.builds import build, check
os.setuid(65534)
folder, *paths = sys.argv[1:]
check(build(paths[:-1], folder), paths[:-1])
print("read")
build(paths, folder)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root's rights")
def test_a_read_only_folder_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        paths = write_images(folder / "images", 4)
        build(paths[:-1], folder / "cache")
        command = [sys.executable, "-c", READ_ONLY, str(folder / "cache"), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "read\n", done.stderr
    assert "CacheError" in done.stderr
