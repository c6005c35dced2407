"""What is stored is right, never stale or damaged."""

from __future__ import annotations

import os
import pickle
import shutil
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from agnet_vision.data.cache import store as region_cache
from agnet_vision.data.cache.shards import Shard, list_shards, merge_shards
from agnet_vision.data.cache.store import DamagedCacheWarning, RegionCache, settings_folder
from agnet_vision.errors import CacheError, ImageReadError
from agnet_vision.regions.proposer import RegionProposer
from tests.data.cache.builds import PROPOSER, build, check
from tests.regions.test_keypoints import texture


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


def test_raises_on_an_unreadable_image_before_any_work(images, tmp_path, monkeypatch):
    bad = tmp_path / "notes.jpg"
    bad.write_text("not an image")
    monkeypatch.setattr(region_cache, "extract_all", lambda *_: pytest.fail("it came too late"))
    with pytest.raises(ImageReadError, match=r"notes\.jpg as an image"):
        build([*images, bad], tmp_path / "cache")


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


def test_value_merged_by_another_process_while_opening(images, tmp_path, monkeypatch):
    build(images, tmp_path / "cache")
    listings = [[settings_folder(tmp_path / "cache", PROPOSER) / "merged_away.arrow"]]
    monkeypatch.setattr(
        region_cache,
        "list_shards",
        lambda folder: listings.pop() if listings else list_shards(folder),
    )
    check(RegionCache(tmp_path / "cache", PROPOSER), images)
