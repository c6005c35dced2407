"""Loader processes end with their parent, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, time
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
    time.sleep(300)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks processes up in /proc")
def test_workers_and_fork_server_end_when_the_main_process_is_killed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 3  # two workers and the fork server
        process.kill()
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, pids))
