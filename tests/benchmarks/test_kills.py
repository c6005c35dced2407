"""A small version of the kills, which ``tools/benchmark.py kills`` does in full."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import kills

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
    # Python's, about threads that a process had before its fork.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


def test_killed_runs_go_on_to_the_same(tmp_path: Path) -> None:
    killed = kills.kill_runs(tmp_path, 7, seed=0)
    assert (sum(killed["killed"].values()), killed["same"]) == (7, 7), killed
    assert killed["temporary_files"] == 0


def test_stopped_runs_go_on_to_the_same(tmp_path: Path) -> None:
    assert kills.stop_runs(tmp_path)["same"] == 3


def test_no_loader_process_is_left(tmp_path: Path) -> None:
    left = kills.kill_with_workers(tmp_path)
    assert left["processes_beside_it"] >= 2
    assert left["left"] == 0
