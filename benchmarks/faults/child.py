"""The smallest run, in a process of its own.

Something may happen to it.
"""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from agnet_vision.options.resolve import training_options
from agnet_vision.training.train import train

CLASSES = ("cat", "dog", "owl")
OPTIONS: dict[str, Any] = {
    "dataset": "folder",
    "backbone": {"name": "test_resnet.r160_in1k", "pretrained": False},
    "regions": {"num_clusters": 2},
    "model": {"head": {"pool_size": 2, "dropout": 0.2}},
    "image_size": 48,
    "epochs": 3,
    "batch_size": 4,
    "workers": 0,
    "schedule": {"warmup_epochs": 1},
    "trainer": {"accelerator": "cpu", "devices": 1, "strategy": "auto", "progress_bar": False},
    "logger": "none",
}


class Outcome(NamedTuple):
    """How a process ended.

    Attributes:
        code: its exit code; minus the number of the signal that ended it.
        result: what the function returned.
        error: what it raised, in a line; empty: nothing.
        seconds: it took.
    """

    code: int
    result: Any
    error: str
    seconds: float


def write_images(root: Path, counts: Mapping[str, int]) -> Path:
    """Paint noisy circles, a size a class: ``root/<split>/<class>/<number>.png``."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = generator.integers(0, 60, (56, 72, 3), dtype=np.uint8)
                x, y = (int(value) for value in generator.integers(15, 40, 2))
                cv2.circle(image, (x, y), 5 + 4 * label, (130, 80, 80), 2 + label)
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


def options(root: Path, run_dir: Path, **others: Any) -> dict[str, Any]:
    """Return a run's options, with its own cache."""
    places = {"dataset.root": root, "run_dir": run_dir, "cache_dir": run_dir.parent / "cache"}
    return {**OPTIONS, **places, **others}


def train_once(given: Mapping[str, Any]) -> None:
    """Train as the command does."""
    train(training_options(given))


def start(function: Callable[..., Any], *arguments: Any) -> tuple[int, Path]:
    """Fork a process that calls a function, silently.

    Returns:
        Its number, and the file its result goes to.
    """
    place = Path(f"/tmp/agnet_faults_{os.getpid()}_{time.monotonic_ns()}.json")
    process = os.fork()
    if process:
        return process, place
    code, answer = 0, {"result": None, "error": ""}
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        answer["result"] = function(*arguments)
    except BaseException as error:
        code = 1
        answer["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        answer["trace"] = traceback.format_exc()
    finally:
        try:
            place.write_text(json.dumps(answer, default=str))
        finally:
            os._exit(code)  # or this process would go on as a second parent


def wait(process: int, place: Path, timeout: float) -> Outcome:
    """Wait for a process of ``start``.

    After the timeout it is killed, and its code is None.
    """
    began = time.perf_counter()
    ended, status = 0, 0
    while not ended and time.perf_counter() - began < timeout:
        ended, status = os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.killpg(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    answer: dict[str, Any] = {
        "result": None,
        "error": "" if ended else f"no end after {timeout:.0f} s",
    }
    if place.is_file():
        answer = json.loads(place.read_text())
        place.unlink()
    seconds = time.perf_counter() - began
    return Outcome(os.waitstatus_to_exitcode(status), answer["result"], answer["error"], seconds)


def in_child(function: Callable[..., Any], *arguments: Any, timeout: float = 300) -> Outcome:
    """Call a function in a process, and wait for it."""
    return wait(*start(function, *arguments), timeout)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint."""
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def same_weights(first: Path, second: Path) -> bool:
    """Compare two checkpoints bit for bit."""
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
