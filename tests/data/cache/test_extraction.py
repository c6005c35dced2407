"""Keypoints found in parallel are kept, whatever ends the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.cache.shards import Shard, list_shards
from agnet_vision.data.cache.store import RegionCache, settings_folder
from agnet_vision.errors import ConfigError, ImageReadError
from tests.data.cache.builds import PROPOSER, build, check
from tests.regions.test_keypoints import texture


def test_raises_unreadable_images_after_storing_the_others(images, tmp_path):
    """Head and end do not show the damage."""
    for path in (images[2], images[7]):
        content = path.read_bytes()
        path.write_bytes(content[:60] + bytes(len(content) - 120) + content[-60:])
    with pytest.raises(ImageReadError, match=r"image é 2.*image é 7"):
        build(images, tmp_path / "cache")
    check(RegionCache(tmp_path / "cache", PROPOSER), [images[1], images[11]])
    with pytest.raises(ImageReadError, match="no such file"):
        build([tmp_path / "missing.png"], tmp_path / "cache")


def test_value_two_processes_store_the_same(images, tmp_path):
    one = build(images * 4, tmp_path / "one")
    two = build(images[::-1], tmp_path / "two", workers=2)
    for path in images:
        for first, second in zip(one[path], two[path], strict=True):
            np.testing.assert_array_equal(first, second)


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
