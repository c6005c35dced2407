"""What survives when a file is cut off, a process dies, or a run is very long."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agnet_vision import load_model
from agnet_vision.errors import CheckpointError
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.train import train
from benchmarks.child import Child, in_child, options, train_once, write_images
from benchmarks.kills import send_in_step
from tests.training.tiny import Configure

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
# Python's, about threads that a process had before its fork.
may_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_checkpoints_cut_off_anywhere_are_refused(configure: Configure, copy: Path) -> None:
    whole = (copy / "last.ckpt").read_bytes()
    generator = random.Random(0)
    for length in (0, *(generator.randrange(len(whole)) for _ in range(6))):
        (copy / "last.ckpt").write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            train(configure("resume=true", f"run_dir={copy}", "epochs=2"))


@on_linux
@may_fork
@pytest.mark.slow
def test_the_others_end_when_one_of_three_processes_dies(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", {"train": 12, "val": 3, "test": 3})
    trainer = {"accelerator": "cpu", "strategy": "ddp", "devices": 3, "progress_bar": False}
    given = options(root, tmp_path / "run", epochs=100_000, trainer=trainer)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [Child(train_as, rank, port, given) for rank in range(3)]
    assert [child.wait(240).code for child in started] == [1, -signal.SIGKILL, 1]


def train_as(rank: int, port: int, given: dict[str, Any]) -> None:
    """Train in the environment that torchrun makes; process 1 is killed in its fifth step."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 3}
    numbers |= {"GROUP_RANK": 0, "MASTER_PORT": port}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "faults"}
    if rank == 1:
        send_in_step(5, signal.SIGKILL)
    train_once(given)


@on_linux
@may_fork
@pytest.mark.slow
@pytest.mark.parametrize("many", ["epochs", "predictions"])
def test_memory_stays_flat_and_no_file_is_left(tmp_path: Path, many: str) -> None:
    root = write_images(tmp_path / "data", {"train": 7, "val": 3, "test": 3})
    given = options(root, tmp_path / "run", epochs=15 if many == "epochs" else 1, test=False)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    if many == "epochs":
        ended = in_child(train_watched, given, temporary)
    else:
        assert in_child(train_once, given).code == 0
        ended = in_child(predict_watched, tmp_path / "run", sorted(root.rglob("*.png")), temporary)
    assert ended.code == 0, ended.error
    assert ended.result[-1] < ended.result[len(ended.result) // 5] + 50
    assert not list(temporary.iterdir())


def train_watched(given: dict[str, Any], temporary: Path) -> list[float]:
    """Train, and return the memory in MB after each epoch."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    memory: list[float] = []
    AGNetModule.on_train_epoch_end = lambda module: memory.append(memory_mb())
    train_once(given)
    return memory


def predict_watched(run_dir: Path, images: list[Path], temporary: Path) -> list[float]:
    """Predict the same images 20 times over, and return the memory in MB after each time."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    predict = Predictor(load_model(run_dir))
    memory = []
    for _ in range(20):
        assert all(prediction.error is None for prediction in predict(images))
        memory.append(memory_mb())
    return memory


def memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
