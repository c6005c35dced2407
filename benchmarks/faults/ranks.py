"""Runs of several processes answer as one does.

They end when one of them dies.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnet_vision.options.resolve import evaluation_options
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.module import AGNetModule
from benchmarks.faults.child import (
    Outcome,
    in_child,
    options,
    start,
    train_once,
    wait,
    write_images,
)

DDP = {"accelerator": "cpu", "strategy": "ddp", "progress_bar": False}


def run_ranks(
    world_size: int, function: Callable[..., Any], *arguments: Any, timeout: float = 300
) -> list[Outcome]:
    """Call a function in several processes at once.

    They have the environment that torchrun gives them.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ranked(rank: int) -> Any:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        told |= {"LOCAL_WORLD_SIZE": world_size, "MASTER_ADDR": "127.0.0.1"}
        told |= {"GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "faults"}
        os.environ.update({name: str(value) for name, value in told.items()})
        return function(*arguments)

    started = [start(ranked, rank) for rank in range(world_size)]
    return [wait(process, place, timeout) for process, place in started]


def compare_processes(folder: Path) -> dict[str, Any]:
    """Evaluate on 2 and on 3 processes.

    An odd test set does not divide evenly.
    """
    root = write_images(folder / "data", {"train": 5, "val": 3, "test": 7})
    (
        root / "test" / "owl" / "0.png"
    ).unlink()  # 19 images: neither 2 nor 3 processes share them evenly
    (root / "test" / "owl" / "1.png").unlink()
    run_dir = folder / "run"
    assert in_child(train_once, options(root, run_dir, epochs=1, test=False)).code == 0
    scores, failed = [], []
    for world_size in (1, 2, 3):
        place = folder / str(world_size)
        outcomes = run_ranks(world_size, _evaluate, run_dir, place, world_size)
        failed += [outcome.error for outcome in outcomes if outcome.code]
        scores.append(json.loads((place / "metrics.json").read_text()))
    differences = [
        abs(scores[0][name] - other[name])
        for other in scores[1:]
        for name in ("acc", "mAP", "mean_per_class_acc", "loss")
    ]
    images = [each["num_images"] for each in scores]
    return {"images": images, "largest_difference": max(differences), "failed": failed}


def _evaluate(run_dir: Path, place: Path, world_size: int) -> None:
    given = {"checkpoint": run_dir, "run_dir": place, "batch_size": 4, "workers": 0}
    trainer = {**DDP, "devices": world_size}
    evaluate(evaluation_options({**given, "trainer": trainer, "report": False}))


def kill_a_rank(folder: Path) -> dict[str, Any]:
    """Kill one of three processes in a step.

    The others must end soon, and say why.
    """
    root = write_images(folder / "data", {"train": 12, "val": 3, "test": 3})
    given = options(root, folder / "run", epochs=100_000, trainer={**DDP, "devices": 3})
    began = time.perf_counter()
    outcomes = run_ranks(3, _train_and_die, given, timeout=240)
    return {
        "killed": sum(outcome.code == -signal.SIGKILL for outcome in outcomes),
        "ended_with_an_error": sum(outcome.code == 1 for outcome in outcomes),
        "errors": sorted({each.error.partition(":")[0] for each in outcomes if each.error}),
        "whole_run_seconds": round(time.perf_counter() - began, 1),
    }


def _train_and_die(given: dict[str, Any]) -> None:
    """Train, and kill the second process in step five."""
    original, calls = AGNetModule.training_step, [0]

    def step(module: AGNetModule, batch: Any, index: int) -> Any:
        calls[0] += 1
        if calls[0] == 5 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return original(module, batch, index)

    AGNetModule.training_step = step  # type: ignore[method-assign, assignment]
    train_once(given)
