"""Keypoints found in parallel are kept, whatever ends the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agnet_vision.data.cache import store
from agnet_vision.data.cache.store import RegionCache
from agnet_vision.errors import CacheError, ConfigError, ImageReadError
from tests.data.cache.builds import PROPOSER, build, check, write_images


def test_raises_a_damaged_image_and_goes_on_when_it_is_repaired(tmp_path: Path) -> None:
    """Head and end do not show the damage."""
    images = write_images(tmp_path / "images")
    content = images[7].read_bytes()
    images[7].write_bytes(content[:60] + bytes(len(content) - 120) + content[-60:])
    with pytest.raises(ImageReadError, match="image é 7"):
        build(images, tmp_path / "cache")
    images[7].write_bytes(content)
    check(build(images, tmp_path / "cache"), images)


def test_value_two_processes_store_the_same(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    check(build(images[::-1], tmp_path / "cache", workers=2), images)


def test_raises_scheduler_that_does_not_answer(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    images = write_images(tmp_path / "images", 2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers at scheduler="):
        build(images, tmp_path / "cache", scheduler="nonsense://nowhere")


SCRIPT = """
import sys
from agnet_vision.data.cache import store
from agnet_vision.data.cache.store import RegionCache
from agnet_vision.regions.proposer import RegionProposer
store.TASK_IMAGES = 2
RegionCache.build(sys.argv[2:], RegionProposer(), sys.argv[1], workers=1, progress=False)
"""


def stored(folder: Path) -> int:
    """Count what is stored so far; another process may be creating the file."""
    try:
        return len(RegionCache(folder, PROPOSER))
    except CacheError:
        return 0


@pytest.mark.slow
def test_value_killed_at_any_moment_then_resumed(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 60)
    kept = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "cache"), *map(str, paths)]
        )
        while process.poll() is None and stored(tmp_path / "cache") < kept + 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = stored(tmp_path / "cache")
        assert now >= kept, "nothing that was saved is lost"
        kept = now
    check(build(paths, tmp_path / "cache"), paths)


@pytest.mark.slow
def test_value_several_processes_build_one_cache(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 40)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "cache")]
    parts = (paths[:30], paths[10:][::-1], paths)
    running = [subprocess.Popen([*command, *map(str, part)]) for part in parts]
    assert [process.wait(timeout=240) for process in running] == [0, 0, 0]
    check(RegionCache(tmp_path / "cache", PROPOSER), paths)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a worker killed on purpose makes Dask complain in many ways
def test_value_dask_cluster_loses_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    paths = write_images(tmp_path / "images", 80)
    monkeypatch.setattr(store, "TASK_IMAGES", 2)
    killed = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        with cluster.get_client() as client:
            client.wait_for_workers(2)
            pids = list(client.run(os.getpid).values())
        original = store.save

        def save_then_kill(*arguments: object) -> None:
            if not killed:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            original(*arguments)

        monkeypatch.setattr(store, "save", save_then_kill)
        cache = build(paths, tmp_path / "cache", scheduler=cluster.scheduler_address)
    assert killed
    check(cache, paths)
