"""The smallest training run, in a process of its own that something may happen to."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from agnet_vision.options.resolve import training_options
from agnet_vision.training.train import train

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
        code: exit code, or minus the number of the signal that ended the process.
        result: what the function returned.
        error: what the function raised, in one line; empty where it raised nothing.
    """

    code: int | None
    result: Any
    error: str


class Child:
    """A forked process that calls a function, silently and in a session of its own."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        for limit in (cv2.setNumThreads, torch.set_num_threads):
            limit(1)  # pools of threads do not survive a fork
        context = multiprocessing.get_context("fork")
        self._answer, answer = context.Pipe(duplex=False)
        self.process = context.Process(target=_answer_with, args=(answer, function, arguments))
        self.process.start()
        answer.close()

    def wait(self, timeout: float = 300) -> Outcome:
        """Wait for the end of the process, and kill it after the timeout (seconds)."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            return Outcome(self.process.exitcode, None, f"no end after {timeout:.0f} s")

        try:
            result, error = self._answer.recv()
        except EOFError:  # it was killed
            result, error = None, ""
        return Outcome(self.process.exitcode, result, error)


def in_child(function: Callable[..., Any], *arguments: Any, timeout: float = 300) -> Outcome:
    """Call a function in a process of its own, and wait for its end."""
    return Child(function, *arguments).wait(timeout)


def _answer_with(answer: Connection, function: Callable[..., Any], arguments: Any) -> None:
    """Call the function and send what it returned or raised."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)

    try:
        answer.send((function(*arguments), ""))
    except BaseException as error:
        answer.send((None, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
        raise SystemExit(1) from error


def write_images(
    root: Path, counts: Mapping[str, int], classes: tuple[str, ...] = ("cat", "dog", "owl")
) -> Path:
    """Paint circles on noise, a size and color per class, as ``root/<split>/<class>/<n>.png``."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = generator.integers(0, 60, (56, 72, 3), dtype=np.uint8)
                x, y = (int(value) for value in generator.integers(15, 40, 2))
                color = tuple(80 + 50 * (label == channel) for channel in range(3))
                cv2.circle(image, (x, y), 5 + 4 * label, color, 2 + label)
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


def options(root: Path, run_dir: Path, **others: Any) -> dict[str, Any]:
    """Return the options of a run that has a keypoint cache of its own."""
    places = {"dataset.root": root, "run_dir": run_dir, "cache_dir": run_dir.parent / "cache"}
    return {**OPTIONS, **places, **others}


def train_once(given: Mapping[str, Any]) -> None:
    """Train as the command does."""
    train(training_options(given))


def same_weights(first: Path, second: Path) -> bool:
    """Tell whether the weights of two checkpoints are equal bit for bit."""
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
