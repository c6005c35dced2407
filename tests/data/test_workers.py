"""Loader processes end with their parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
import torch
from torch.utils.data import DataLoader
from agnet_vision.data.workers import start_worker, worker_context

class Pids(torch.utils.data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        return os.getpid(), os.getppid()

if __name__ == "__main__":
    loader = DataLoader(
        Pids(), num_workers=2, multiprocessing_context=worker_context(),
        worker_init_fn=start_worker, persistent_workers=True, prefetch_factor=1,
    )
    batches = iter(loader)
    pids = {int(pid) for _ in range(8) for pid in next(batches)}
    print(*pids, flush=True)
    sys.stdin.readline()
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="looks processes up in /proc"
)


@pytest.fixture
def main_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "4"},  # threads from the start, as users have them
    ) as process:
        yield process
        process.kill()


def started(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 3  # two workers and the fork server
    return pids


def end_in_time(pids: list[int]) -> bool:
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(is_running, pids))


def test_workers_and_fork_server_end_when_the_main_process_is_killed(
    main_process: subprocess.Popen[str],
) -> None:
    pids = started(main_process)
    main_process.kill()
    assert end_in_time(pids)


def test_a_cluster_s_signals_are_left_to_the_main_process(
    main_process: subprocess.Popen[str],
) -> None:
    """SLURM sends them to all; a run needs its workers."""
    pids = started(main_process)
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGUSR1)
    time.sleep(0.5)
    assert all(map(is_running, pids))

    _, errors = main_process.communicate("end\n", timeout=60)
    assert (main_process.returncode, errors) == (0, "")
    assert end_in_time(pids)
