"""Kill or stop training runs at any moment, and see whether they go on to the same result.

python tools/benchmark.py kills [--output docs/benchmarks/kills.json]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from agnet_vision.data.cache import store
from agnet_vision.evaluation.report import write_report as write_run_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training import train as train_file
from agnet_vision.training.module import TrainingModule
from benchmarks.child import Child, in_child, options, same_weights, train_once, write_images
from benchmarks.conditions import conditions, write_report

# Everything of a training that has a state of its own.
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
IMAGES = {"train": 7, "val": 3, "test": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--kills", type=int, default=20, help="runs that are killed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--output", type=Path, default=None, help="write the results as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill runs, stop runs, and kill one with loader processes; print a line for each part."""
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "kills": lambda folder: kill_runs(folder, arguments.kills, arguments.seed),
        "signals": stop_runs,
        "worker processes": kill_with_workers,
    }
    report: dict[str, Any] = {**conditions(arguments.seed), "faults": {}}
    for name, part in parts.items():
        with tempfile.TemporaryDirectory(prefix="agnet_kills_") as folder:
            report["faults"][name] = part(Path(folder))
        print(f"{name}: {json.dumps(report['faults'][name])}", flush=True)  # noqa: T201
    write_report(report, arguments.output)
    return report


def kill_runs(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Kill runs at random moments, each kind of moment in turn, and let them go on."""
    root = write_images(folder / "data", IMAGES)
    whole = folder / "whole" / "run"
    _train_whole(root, whole, **RICH)
    generator = random.Random(seed)
    killed = Counter[str]()
    temporary_files = 0
    wrong = []
    for number in range(count):
        moment = list(MOMENTS)[number % len(MOMENTS)]
        time_of = generator.randint(1, MOMENTS[moment])
        run_dir = folder / str(number) / "run"
        given = options(root, run_dir, **RICH, resume="auto")
        killed[moment] += in_child(_train_until, given, moment, time_of).code == -signal.SIGKILL

        if RunFolder(run_dir).is_tested():  # only its report is missing
            again = in_child(write_run_report, run_dir)
        else:
            again = in_child(train_once, given)
        same = again.code == 0 and _same_run(whole, run_dir)
        temporary_files += len(list(run_dir.rglob(".*.tmp")))
        if not same:
            wrong.append(f"{moment} {time_of}: {again.error}")
    return {
        "killed": dict(killed),
        "same": count - len(wrong),
        "temporary_files": temporary_files,
        "wrong": wrong,
    }


def _train_whole(root: Path, run_dir: Path, **others: Any) -> None:
    """Train a run that nothing happens to."""
    ended = in_child(train_once, options(root, run_dir, **others))
    if ended.code != 0:
        raise RuntimeError(f"the run that nothing happens to failed: {ended.error}")


def _same_run(first: Path, second: Path) -> bool:
    """Tell whether weights and scores of two runs are equal, and the second has its report."""
    weights = all(same_weights(first / n, second / n) for n in ("last.ckpt", "best.ckpt"))
    return weights and _scores(first) == _scores(second) and (second / "report.html").is_file()


def _scores(run_dir: Path) -> dict[str, Any]:
    """Read what must be equal of a run's scores."""
    metrics = json.loads((run_dir / "metrics.json").read_text())
    return {name: metrics[name] for name in ("acc", "mAP", "per_class", "confusion_matrix")}


def _train_until(given: dict[str, Any], moment: str, time_of: int) -> None:
    """Train, and be killed when a moment comes for the n-th time."""
    match moment:
        case "step":
            _kill_in(TrainingModule, "training_step", time_of)
        case "validation" | "test":
            _kill_in(TrainingModule, f"{moment}_step", time_of)
        case "checkpoint write":
            _kill_in(torch, "save", time_of, _write_half)
        case "cache write":
            _kill_in(store, "register", time_of)  # in the middle of a transaction
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
    """Replace a function by one that kills this process when it is called for the n-th time.

    Args:
        owner: class or module of the function.
        name: name of the function.
        time_of: number of the call that kills.
        last_act: function called with the same arguments just before.
        only: part of an argument, of the calls that count.
    """
    original = getattr(owner, name)
    calls = 0

    def killing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += not only or any(only in str(each) for each in arguments)
        if calls == time_of:
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


def stop_runs(folder: Path) -> dict[str, Any]:
    """Send a cluster's signals in mid-epoch, and let the runs go on."""
    root = write_images(folder / "data", IMAGES)
    whole = folder / "whole" / "run"
    _train_whole(root, whole, test=False)
    outcome: dict[str, Any] = {"sent": [], "saved_and_stopped": 0, "same": 0}
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        run_dir = folder / number.name / "run"
        given = options(root, run_dir, test=False, resume="auto")
        stopped = in_child(_train_and_stop, given, number)
        outcome["sent"].append(number.name)
        saved = (run_dir / "last.ckpt").is_file() and stopped.error.startswith("Stopped: go on")
        outcome["saved_and_stopped"] += saved

        again = in_child(train_once, given)
        same = again.code == 0 and same_weights(whole / "last.ckpt", run_dir / "last.ckpt")
        outcome["same"] += same
    return outcome


def _train_and_stop(given: dict[str, Any], number: signal.Signals) -> None:
    """Train, and be sent a signal during the eighth step."""
    send_in_step(8, number)
    train_once(given)


def send_in_step(number_of_step: int, number: signal.Signals) -> None:
    """Let this process send itself a signal during a training step."""
    original = TrainingModule.training_step
    calls = 0

    def step(module: TrainingModule, batch: Any, index: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == number_of_step:
            os.kill(os.getpid(), number)
        return original(module, batch, index)

    TrainingModule.training_step = step  # type: ignore[method-assign, assignment]


def kill_with_workers(folder: Path) -> dict[str, Any]:
    """Kill a run with loader processes, and count the processes that are left."""
    root = write_images(folder / "data", IMAGES)
    child = Child(train_once, options(root, folder / "run", workers=2, epochs=100_000))
    session = child.process.pid or 0
    _poll(lambda: (folder / "run" / "last.ckpt").is_file(), timeout=400)
    before = len(_members(session)) - 1

    child.process.kill()
    child.wait(10)
    _poll(lambda: not _members(session), timeout=30)
    return {"processes_beside_it": before, "left": len(_members(session))}


def _poll(condition: Callable[[], bool], timeout: float) -> None:
    """Wait until a condition holds or the timeout (seconds) is over."""
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)


def _members(session: int) -> list[int]:
    """List the living processes of a session, which every ``Child`` begins."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found
