"""Runs that are killed or stopped at any moment.

The one that goes on must be the same.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from agnet_vision.data.cache import rows
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training import train as train_file
from agnet_vision.training.module import AGNetModule
from benchmarks.faults.child import (
    in_child,
    options,
    same_weights,
    start,
    train_once,
    wait,
    write_images,
)

# All that has a state of its own.
RICH = {
    "accumulate_batches": 2,
    "ema_decay": 0.9,
    "early_stopping_patience": 2,
    "sampler": "balanced",
}
# Where a run is killed -> how often a whole run comes there.
MOMENTS = {
    "step": 15,
    "checkpoint write": 4,
    "cache write": 1,
    "validation": 9,
    "test": 3,
    "results": 1,
    "report": 1,
}


def kill_runs(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill runs at random moments, and let them go on.

    Each kind of moment has its turn.
    """
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    whole = folder / "whole" / "run"
    assert in_child(train_once, options(root, whole, **RICH)).code == 0
    generator = random.Random(seed)
    killed, equal, left, wrong = Counter[str](), 0, 0, []
    for number in range(count):
        moment = list(MOMENTS)[number % len(MOMENTS)]
        time_of = generator.randint(1, MOMENTS[moment])
        run_dir = folder / str(number) / "run"
        given = options(root, run_dir, **RICH, resume="auto")
        ended = in_child(_train_until, given, moment, time_of)
        killed[moment] += ended.code == -signal.SIGKILL
        if not RunFolder(run_dir).is_tested():
            ended = in_child(train_once, given)
        else:  # in its report, which is written anew by a command of its own
            ended = in_child(write_report, run_dir)
        scores = [_scores(whole), _scores(run_dir)]
        same = same_weights(whole / "last.ckpt", run_dir / "last.ckpt")
        same &= same_weights(whole / "best.ckpt", run_dir / "best.ckpt")
        same &= ended.code == 0 and scores[0] == scores[1] and (run_dir / "report.html").is_file()
        equal += same
        left += len(list(run_dir.rglob(".*.tmp")))
        if not same:
            wrong.append(f"{moment} {time_of}: {ended.error}")
    return {"killed": dict(killed), "same": equal, "temporary_files": left, "wrong": wrong}


def _scores(run_dir: Path) -> dict[str, Any]:
    """Read what must be equal of a run's scores."""
    metrics = json.loads((run_dir / "metrics.json").read_text())
    return {name: metrics[name] for name in ("acc", "mAP", "per_class", "confusion_matrix")}


def _train_until(given: dict[str, Any], moment: str, time_of: int) -> None:
    """Train, and be killed at a moment's n-th time."""
    match moment:
        case "step" | "validation" | "test":
            name = {"step": "training_step"}.get(moment, f"{moment}_step")
            _kill_in(AGNetModule, name, time_of)
        case "checkpoint write":
            _kill_in(torch, "save", time_of, _write_half)
        case "cache write":
            _kill_in(rows, "write_atomically", time_of, _write_half_of_a_file)
        case "results":
            _kill_in(Path, "replace", 1, lambda path, to: path.replace(to), only="predictions.csv")
        case "report":
            _kill_in(train_file, "write_report", time_of)
    train_once(given)


def _kill_in(
    owner: Any,
    name: str,
    time_of: int,
    last_act: Callable[..., Any] | None = None,
    only: str = "",
) -> None:
    """Replace a function by one that kills this process.

    It does so when it is called for the n-th time.
    """
    original, calls = getattr(owner, name), [0]

    def killing(*arguments: Any, **named: Any) -> Any:
        calls[0] += not only or any(only in str(each) for each in arguments)
        if calls[0] == time_of:
            if last_act is not None:
                setattr(owner, name, original)
                last_act(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(owner, name, killing)


def _write_half(checkpoint: Any, file: BinaryIO) -> None:
    """Write the first half of a checkpoint to the disk."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    file.write(buffer.getvalue()[: buffer.tell() // 2])
    file.flush()


def _write_half_of_a_file(path: Path, content: bytes) -> None:
    """Leave what ``write_atomically`` leaves when it is cut off."""
    data = bytes(content)
    path.with_name(".cut.tmp").write_bytes(data[: len(data) // 2])


def stop_runs(folder: Path) -> dict[str, Any]:
    """Send a cluster's signals in mid-epoch, and go on."""
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    whole = folder / "whole" / "run"
    assert in_child(train_once, options(root, whole, test=False)).code == 0
    outcome: dict[str, Any] = {"sent": [], "saved_and_stopped": 0, "same": 0}
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        run_dir = folder / number.name / "run"
        given = options(root, run_dir, test=False, resume="auto")
        stopped = in_child(_train_and_stop, given, int(number))
        outcome["sent"].append(number.name)
        saved = (run_dir / "last.ckpt").is_file() and stopped.error.startswith("Stopped: go on")
        outcome["saved_and_stopped"] += saved
        again = in_child(train_once, given)
        same = again.code == 0 and same_weights(whole / "last.ckpt", run_dir / "last.ckpt")
        outcome["same"] += same
    return outcome


def _train_and_stop(given: dict[str, Any], number: int) -> None:
    """Train, and be sent a signal during the eighth step."""
    original, calls = AGNetModule.training_step, [0]

    def step(module: AGNetModule, batch: Any, index: int) -> Any:
        calls[0] += 1
        if calls[0] == 8:
            os.kill(os.getpid(), number)
        return original(module, batch, index)

    AGNetModule.training_step = step  # type: ignore[method-assign, assignment]
    train_once(given)


def kill_with_workers(folder: Path) -> dict[str, Any]:
    """Kill a run with loader processes, and count those left."""
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    given = options(root, folder / "run", workers=2, epochs=100_000)
    process, place = start(train_once, given)
    deadline = time.monotonic() + 400
    while not (folder / "run" / "last.ckpt").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    before = len(_members(process)) - 1
    os.kill(process, signal.SIGKILL)
    wait(process, place, 10)
    deadline = time.monotonic() + 30
    while (left := _members(process)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {"processes_beside_it": before, "left": len(left)}


def _members(session: int) -> list[int]:
    """List the living processes of a session: ``start`` begins one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found
