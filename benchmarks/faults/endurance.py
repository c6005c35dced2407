"""Long runs: memory stays flat, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from agnet_vision import load_model
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training import train as train_file
from benchmarks.faults.child import in_child, options, train_once, write_images


def train_long(folder: Path, epochs: int) -> dict[str, Any]:
    """Train for many epochs, and compare memory.

    It is measured after a fifth of them and at the end.
    """
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    given = options(root, folder / "run", epochs=epochs)
    ended = in_child(_train_watched, given, folder / "temporary", timeout=900)
    left = len(list((folder / "temporary").iterdir()))
    return {"epochs": epochs, **(ended.result or {"error": ended.error}), "left": left}


def _train_watched(given: dict[str, Any], temporary: Path) -> dict[str, float]:
    """Train, and note the memory after each epoch."""
    _use_temporary_folder(temporary)
    memory: list[float] = []

    class Watch(pl.Callback):
        """Notes the memory."""

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            """Note it."""
            memory.append(_resident_mb())

    original = train_file.build_callbacks
    train_file.build_callbacks = lambda *args, **named: [Watch(), *original(*args, **named)]
    train_once(given)
    return {"mb_after_a_fifth": memory[len(memory) // 5], "mb_at_the_end": memory[-1]}


def predict_many(folder: Path, count: int) -> dict[str, Any]:
    """Predict many images, and compare memory.

    It is measured after a fifth of them and at the end.
    """
    root = write_images(folder / "data", {"train": 7, "val": 3, "test": 3})
    run_dir = folder / "run"
    assert in_child(train_once, options(root, run_dir, epochs=1, test=False)).code == 0
    images, temporary = sorted(root.rglob("*.png")), folder / "temporary"
    ended = in_child(_predict_watched, run_dir, images, count, temporary, timeout=1200)
    left = len(list(temporary.iterdir()))
    return {"predictions": count, **(ended.result or {"error": ended.error}), "left": left}


def _predict_watched(
    run_dir: Path, images: list[Path], count: int, temporary: Path
) -> dict[str, float]:
    """Predict the same images over and over."""
    _use_temporary_folder(temporary)
    memory: list[float] = []
    paths = (images[number % len(images)] for number in range(count))
    for number, prediction in enumerate(Predictor(load_model(run_dir))(paths)):
        assert prediction.error is None
        if number in (count // 5, count - 1):
            memory.append(_resident_mb())
    return {"mb_after_a_fifth": memory[0], "mb_at_the_end": memory[1]}


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _use_temporary_folder(folder: Path) -> None:
    """Let temporary files go where they can be counted."""
    folder.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
