"""Runs written as training writes them, over generated images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet

# Names that a page, a CSV file, matplotlib or a spreadsheet could take for something else.
CLASSES = ("bee", "wasp, $wild$", "<b>fly</b>", "=10")
FILES = 40  # at most; further images are these again


def random_predictions(
    images: int, classes: int, *, seed: int = 0, skill: float = 1.0
) -> Predictions:
    rng = np.random.default_rng(seed)
    label = np.arange(images) % classes
    logits = rng.normal(size=(images, classes)) + skill * np.eye(classes)[label]
    probability = torch.from_numpy(logits).float().softmax(1)
    return Predictions(torch.arange(images), torch.from_numpy(label), probability)


def make_run(
    root: Path, name: str, *, classes: tuple[str, ...] = CLASSES, images: int = 24, seed: int = 0
) -> Path:
    """Write an untrained network's tested run on ``root / "data"``."""
    rng = np.random.default_rng(0)
    data, folder = root / "data", RunFolder(root / name)
    data.mkdir(exist_ok=True)
    folder.path.mkdir()
    paths = [data / f"{number % FILES}.png" for number in range(images)]
    for path in paths[:FILES]:
        if not path.exists():
            pixels = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(pixels).save(path)

    predictions = random_predictions(images, len(classes), seed=seed, skill=2.0 + seed)
    record = {"seed": seed, "root": str(data), "checkpoint": str(folder.path / "saved")}
    scores = {"dataset": "folder", "split": "test", **score(predictions, classes), **record}
    folder.write_results(scores, predictions, paths, classes, data)
    command = {"command": "python tools/train.py <x>", "versions": {"torch": "2"}}
    folder.write_record({**command, **record})
    folder.write_config("dataset:\n  name: folder\n")

    log = folder.path / "csv" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    lines = [f"{e},{9 - e},{2 / (e + 1)},{2.2 / (e + 1)},{e / 10},{e / 12}" for e in range(6)]
    header = "epoch,step,train/loss_epoch,val/loss,val/acc,val/mAP"
    log.write_text("\n".join([header, *lines]) + "\n")

    torch.manual_seed(0)
    model = AGNet("test_resnet", len(classes), num_clusters=3, classes=classes)
    model.save_pretrained(folder.path / "saved")
    return folder.path


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 4, num_clusters=3).eval()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs on the same images, only to look at."""
    root = tmp_path_factory.mktemp("runs")
    return make_run(root, "first", seed=1), make_run(root, "second")
