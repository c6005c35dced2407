"""What stands in for trainings in the tests of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.options.resolve import stored_text, training_options

CLASSES = ("ant", "bee")


class Trainer:
    """A stand-in for ``train_with`` that writes what a run leaves, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.kill_at = -1

    def __call__(self, options: dict[str, Any]) -> None:
        self.asked.append(options)
        folder = RunFolder(options["run_dir"])
        folder.path.mkdir(parents=True, exist_ok=True)
        if not folder.last.is_file():
            given = {name: value for name, value in options.items() if name != "resume"}
            folder.write_config(stored_text(training_options(given)))
        if len(self.asked) - 1 == self.kill_at:
            folder.last.touch()
            raise KeyboardInterrupt
        stored = yaml.safe_load(folder.config.read_text())
        arm = folder.path.parent.name
        record = {"finished": True, "training_seconds": 100, "images_seen": 10, "parameters": 3}
        folder.write_record(record)
        log = folder.path / "csv" / "version_0" / "metrics.csv"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("epoch,val/mAP\n0,0.5\n1,0.6\n")
        if stored.get("test", True):
            write_results(folder, stored["seed"], shift=0.0 if arm == "plain" else 1.0)


def write_results(folder: RunFolder, seed: int, *, shift: float) -> None:
    """Write a test of forty images; a larger shift is right more often."""
    generator = np.random.default_rng(seed)
    label = np.arange(40) % 2
    right = generator.normal(0.3 + shift, 1, 40)
    own = 1 / (1 + np.exp(-right))
    probability = np.where(label[:, None] == np.arange(2), own[:, None], 1 - own[:, None])
    found = Predictions(
        torch.arange(40), torch.from_numpy(label), torch.from_numpy(probability).float()
    )
    paths = [folder.path / f"{number}.jpg" for number in range(40)]
    scores = {"dataset": "folder", "split": "test", **score(found, CLASSES)}
    folder.write_results(scores, found, [Path(path.name) for path in paths], CLASSES, Path())
