"""What is stored is right; what is stale, damaged or half-written is never used."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from agnet_vision.data.cache import store as region_cache
from agnet_vision.data.cache.shards import Shard, list_shards, merge_shards
from agnet_vision.data.cache.store import DamagedCacheWarning, RegionCache, settings_folder
from agnet_vision.data.image import read_image
from agnet_vision.errors import CacheError, ConfigError, ImageReadError
from agnet_vision.regions.proposer import RegionProposer
from tests.regions.test_keypoints import texture

PROPOSER = RegionProposer()


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """Write a dozen images of different sizes, one without any keypoint."""
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / f"image é {index}.png" for index in range(12)]
    for index, path in enumerate(paths):
        Image.fromarray(
            texture(60 + 7 * index, 50, seed=index) if index else np.zeros((20, 20, 3), np.uint8)
        ).save(path)
    return paths


def build(paths, folder, **options) -> RegionCache:
    return RegionCache.build(
        paths, PROPOSER, folder, **{"workers": 1, "progress": False, **options}
    )


def check(cache: RegionCache, paths: list[Path]) -> None:
    """Compare with keypoints computed on the spot, to the precision of the stored format."""
    for path in paths:
        image, found = read_image(path), cache[path]
        expected = PROPOSER.keypoints(image)
        np.testing.assert_allclose(
            found.xy, expected.xy, atol=0.51 * max(image.shape) / 65535 + 1e-5
        )
        np.testing.assert_allclose(found.response, expected.response, rtol=2e-3, atol=1e-6)
        np.testing.assert_array_equal(found.group, expected.group)
        assert (found.xy.dtype, found.response.dtype, found.group.dtype) == (
            np.float32,
            np.float32,
            np.int64,
        )


def forbid_work(monkeypatch):
    def refuse(self, images):
        assert not images, "nothing should be computed again"
        return []

    monkeypatch.setattr(RegionProposer, "keypoints_many", refuse)


def test_value_stored_equals_computed(images, tmp_path):
    cache = build(images, tmp_path / "cache")
    check(cache, images)
    assert len(cache) == len(images)
    assert images[3] in cache
    assert tmp_path not in cache
    assert len(cache[images[0]].xy) == 0


def test_value_second_build_computes_nothing(images, tmp_path, monkeypatch):
    build(images, tmp_path / "cache")
    forbid_work(monkeypatch)
    again = build([str(path) for path in images], tmp_path / "cache")
    assert len(again) == len(images)
    assert all(path in again for path in images)


def test_value_touched_or_moved_files_are_known_by_content(images, tmp_path, monkeypatch):
    build(images, tmp_path / "cache")
    forbid_work(monkeypatch)
    os.utime(images[1], ns=(1, 1))
    moved = images[2].rename(tmp_path / "elsewhere.png")
    check_paths = [images[1], moved]
    cache = build(check_paths, tmp_path / "cache")
    monkeypatch.undo()
    check(cache, check_paths)


def test_raises_stale_content(images, tmp_path):
    cache = build(images, tmp_path / "cache")
    Image.fromarray(texture(80, 80, seed=99)).save(images[4])
    with pytest.raises(CacheError, match="has changed since"):
        cache[images[4]]
    check(build(images, tmp_path / "cache"), images)
    os.utime(images[5], ns=(1, 1))
    check(cache, [images[5]])


def test_raises_unknown_image_or_settings(images, tmp_path):
    cache = build(images[:3], tmp_path / "cache")
    with pytest.raises(CacheError, match="has no regions"):
        cache[images[5]]
    with pytest.raises(CacheError, match="no regions are stored"):
        RegionCache(tmp_path / "cache", RegionProposer(seed=1))
    assert settings_folder("x", RegionProposer(seed=1)) != settings_folder("x", PROPOSER)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
def test_damage_is_refused_and_rebuilt(images, tmp_path, damage):
    cache = build(images, tmp_path / "cache")
    (shard,) = list_shards(cache.folder)
    content = bytearray(shard.read_bytes())
    match damage:
        case "flip":
            content[len(content) // 2] ^= 1
        case "truncate":
            content = content[: len(content) // 2]
        case "empty":
            content = bytearray()
        case _:
            content = bytearray(b"not a table")
    del cache
    shard.unlink()
    shard.write_bytes(content)
    with pytest.raises(CacheError, match="damaged"):
        RegionCache(tmp_path / "cache", PROPOSER)
    with pytest.warns(DamagedCacheWarning, match="damaged"):
        cache = build(images, tmp_path / "cache")
    check(cache, images)


def test_value_pickled_copies_share_the_mapping(images, tmp_path):
    cache = build(images, tmp_path / "cache")
    text = pickle.dumps(cache)
    assert len(text) < 1000
    copy = pickle.loads(text)
    check(copy, images)
    assert not copy._open()[0]._x.flags.owndata, "a view of the mapped file"
    late = pickle.loads(text)
    build(
        [*images, _another(tmp_path)], tmp_path / "cache"
    )  # merges the shard away that ``late`` knows by name
    check(late, images)


def _another(tmp_path: Path) -> Path:
    path = tmp_path / "another.png"
    Image.fromarray(texture(50, 50, seed=50)).save(path)
    return path


def test_value_two_writers_and_two_merges(images, tmp_path):
    cache = build(images[:5], tmp_path / "cache")
    others = build(images[3:], tmp_path / "other")
    shutil.copy(list_shards(others.folder)[0], cache.folder)
    seen_by_both = [Shard(path, num_clusters=8) for path in list_shards(cache.folder)]
    assert len(seen_by_both) == 2
    merge_shards(cache.folder, seen_by_both)
    merge_shards(cache.folder, seen_by_both)
    merged = RegionCache(tmp_path / "cache", PROPOSER)
    assert len(list_shards(cache.folder)) == 1
    assert len(merged) == len(images)
    check(merged, images)


def test_value_left_overs_of_a_killed_writer(images, tmp_path):
    cache = build(images, tmp_path / "cache")
    fresh, old = cache.folder / ".fresh.tmp", cache.folder / ".old.tmp"
    for path in (fresh, old):
        path.write_bytes(b"half a shard")
    os.utime(old, (1, 1))
    check(build(images, tmp_path / "cache"), images)
    assert fresh.exists(), "another process may still be writing it"
    assert not old.exists()


def test_raises_unreadable_images_after_storing_the_others(images, tmp_path):
    images[2].write_bytes(images[2].read_bytes()[:200])
    images[7].write_bytes(b"")
    with pytest.raises(ImageReadError, match=r"image é 2.*image é 7"):
        build(images, tmp_path / "cache")
    check(RegionCache(tmp_path / "cache", PROPOSER), [images[1], images[11]])
    with pytest.raises(ImageReadError, match="no such file"):
        build([tmp_path / "missing.png"], tmp_path / "cache")


def test_empty_list(tmp_path):
    with pytest.raises(CacheError, match="no regions are stored"):
        build([], tmp_path / "cache")


def test_raises_other_columns(tmp_path):
    folder = settings_folder(tmp_path, PROPOSER)
    folder.mkdir()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, pa.schema({"path_hash": pa.uint64()})) as writer:
        writer.write_batch(pa.record_batch({"path_hash": pa.array([1], pa.uint64())}))
    (folder / f"{blake2b(sink.getvalue(), digest_size=16).hexdigest()}.arrow").write_bytes(
        sink.getvalue()
    )
    with pytest.raises(CacheError, match="other columns"):
        RegionCache(tmp_path, PROPOSER)


def test_value_two_processes_store_the_same(images, tmp_path):
    one = build(images * 4, tmp_path / "one")
    two = build(images[::-1], tmp_path / "two", workers=2)
    for path in images:
        for first, second in zip(one[path], two[path], strict=True):
            np.testing.assert_array_equal(first, second)


def test_value_merged_by_another_process_while_opening(images, tmp_path, monkeypatch):
    build(images, tmp_path / "cache")
    listings = [[settings_folder(tmp_path / "cache", PROPOSER) / "merged_away.arrow"]]
    monkeypatch.setattr(
        region_cache,
        "list_shards",
        lambda folder: listings.pop() if listings else list_shards(folder),
    )
    check(RegionCache(tmp_path / "cache", PROPOSER), images)


def test_raises_scheduler_that_does_not_answer(images, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="no Dask scheduler answers at scheduler="):
        build(images, tmp_path / "cache", scheduler="nonsense://nowhere")


SCRIPT = """
import sys
from agnet_vision.data.cache import extraction as region_extraction
from agnet_vision.data.cache.store import RegionCache
from agnet_vision.regions.proposer import RegionProposer
region_extraction.SAVE_SECONDS, region_extraction.TASK_IMAGES = 0.0, 2
RegionCache.build(sys.argv[2:], RegionProposer(), sys.argv[1], workers=1, progress=False)
"""


def many_images(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(texture(200, 160, seed=index)).save(path)
    return paths


@pytest.mark.slow
def test_value_killed_at_any_moment_then_resumed(tmp_path):
    paths = many_images(tmp_path / "images", 60)
    store = settings_folder(tmp_path / "cache", PROPOSER)
    kept = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "cache"), *map(str, paths)]
        )
        while (
            process.poll() is None
            and sum(len(Shard(path, num_clusters=8)) for path in list_shards(store)) < kept + 10
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        rows = sum(len(Shard(path, num_clusters=8)) for path in list_shards(store))
        assert rows >= kept, "nothing that was saved is lost"
        kept = min(rows, len(paths))
    check(build(paths, tmp_path / "cache"), paths)


@pytest.mark.slow
def test_value_two_processes_build_one_cache(tmp_path):
    paths = many_images(tmp_path / "images", 40)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "cache")]
    both = [
        subprocess.Popen([*command, *map(str, part)]) for part in (paths[:30], paths[10:][::-1])
    ]
    assert [process.wait(timeout=240) for process in both] == [0, 0]
    check(RegionCache(tmp_path / "cache", PROPOSER), paths)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore"
)  # a worker killed on purpose makes Dask complain in many voices
def test_value_dask_cluster_loses_a_worker(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    from agnet_vision.data.cache import extraction as region_extraction

    paths = many_images(tmp_path / "images", 80)
    monkeypatch.setattr(region_extraction, "TASK_IMAGES", 2)
    monkeypatch.setattr(region_extraction, "SAVE_SECONDS", 0.0)
    killed = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(2)
            pids = list(client.run(os.getpid).values())
        original = region_extraction.write_rows

        def write_then_kill(folder, rows):
            if not killed:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            return original(folder, rows)

        monkeypatch.setattr(region_extraction, "write_rows", write_then_kill)
        cache = build(paths, tmp_path / "cache", scheduler=cluster.scheduler_address)
    assert killed
    check(cache, paths)


def test_raises_unreadable_image_names_the_image(images, tmp_path, monkeypatch):
    build(images[:1], tmp_path / "cache")
    read_bytes = Path.read_bytes

    def refuse(path):
        if path == images[1]:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageReadError, match="Permission denied"):
        build(images, tmp_path / "cache")
