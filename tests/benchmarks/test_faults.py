"""Small versions of the faults.

``tools/benchmark.py faults`` does all of them.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from benchmarks.faults import endurance, files, images, kills, ranks
from benchmarks.faults.child import options, train_once, write_images

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
    # Python's, about threads that a process had before its fork.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def test_mutations_change_an_image() -> None:
    generator = random.Random(0)
    content = bytes(range(256))
    changed = [images.mutate(content, generator) for _ in range(50)]
    assert len(set(changed)) > 40
    assert len({len(each) for each in changed}) > 10


def test_mutated_images(tmp_path: Path) -> None:
    result = images.read_mutated(tmp_path, 60, seed=0)
    assert result["read"] + result["refused"] == 60
    assert min(result["read"], result["refused"]) > 5


def test_cut_checkpoints(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", {"train": 4, "val": 1, "test": 1})
    given = options(root, tmp_path / "run", test=False, epochs=1)
    train_once(given)
    whole = {name: (tmp_path / "run" / name).read_bytes() for name in ("last.ckpt", "best.ckpt")}
    answers = files._open_all(tmp_path / "run", whole, given, 4, seed=0)
    assert answers == {"last.ckpt: CheckpointError": 2, "best.ckpt: CheckpointError": 2}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_runs(tmp_path: Path) -> None:
    killed = kills.kill_runs(tmp_path / "kills", 7, seed=0)
    assert (sum(killed["killed"].values()), killed["same"]) == (7, 7), killed
    assert kills.stop_runs(tmp_path / "signals")["same"] == 3
    left = kills.kill_with_workers(tmp_path / "workers")
    assert left["processes_beside_it"] >= 2
    assert left["left"] == 0
    assert ranks.kill_a_rank(tmp_path / "rank")["ended_with_an_error"] == 2
    assert ranks.compare_processes(tmp_path / "ranks")["largest_difference"] < 1e-6
    watched = endurance.train_long(tmp_path / "long", 10)
    assert watched["mb_at_the_end"] < watched["mb_after_a_fifth"] + 50
