"""A tiny folder of pictures and the smallest runs over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

import agnet_vision.training.train
from agnet_vision.cli.command import load_command
from agnet_vision.cli.parse import parse
from agnet_vision.training.build import build_callbacks
from agnet_vision.training.config import EvaluateConfig, TrainConfig
from agnet_vision.training.resolve import evaluation_options, training_options

# Three classes, 160 thousand weights, an epoch in a tenth of a second.
TINY = (
    "dataset=folder",
    "backbone=timm",
    "backbone.name=test_resnet.r160_in1k",
    "backbone.pretrained=false",
    "regions.num_clusters=2",
    "model.head.pool_size=2",
    "model.head.dropout=0.2",
    "image_size=48",
    "epochs=2",
    "batch_size=4",
    "schedule.warmup_epochs=1",
    "workers=0",
    "trainer=cpu",
    "trainer.progress_bar=false",
    "report=false",
)
TINY_EVALUATION = (
    "dataset=folder",
    "trainer=cpu",
    "trainer.progress_bar=false",
    "workers=0",
    "report=false",
)


def write_pictures(
    root: Path, counts: dict[str, int], classes: tuple[str, ...] = ("cat", "dog", "owl")
) -> Path:
    """Write noisy pictures of a shape a class, one folder a split and class."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = generator.integers(0, 60, (56, 72, 3), dtype=np.uint8)
                center = tuple(int(value) for value in generator.integers(15, 40, 2))
                cv2.circle(
                    image,
                    center,
                    5 + 4 * label,
                    tuple(int(80 + 50 * (label == c)) for c in range(3)),
                    2 + label,
                )
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), {"train": 7, "val": 3, "test": 3})


def training(*words: str) -> TrainConfig:
    """Read the options of a training as the command line does."""
    return training_options(parse(words, load_command("train")))


def evaluation(*words: str) -> EvaluateConfig:
    """Read the options of an evaluation as the command line does."""
    return evaluation_options(parse(words, load_command("evaluate")))


@pytest.fixture
def configure(pictures: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Read the options of a tiny run; ``run_dir`` is a folder of the test unless given."""
    places = (f"dataset.root={pictures}", f"run_dir={tmp_path / 'run'}")
    return lambda *words: training(*TINY, *places, *words)


@pytest.fixture
def configure_evaluation(pictures: Path, tmp_path: Path) -> Callable[..., EvaluateConfig]:
    """Read the options of an evaluation of a tiny run."""
    places = (f"dataset.root={pictures}", f"run_dir={tmp_path / 'run'}")
    return lambda *words: evaluation(*TINY_EVALUATION, *places, *words)


class Recorder(Callback):
    """Keeps what a run did: its batches, learning rates and weights.

    Attributes:
        module: as the run left it.
        batches: in the order of training.
        learning_rates: of every batch, group name -> rate.
        weights: after every batch; ``weights_at_start`` before the first.
        validated: the weights of every validation; ``tested``: those of the test.
    """

    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []
        self.learning_rates: list[dict[str, float]] = []
        self.weights: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trainer, self.module, self.weights_at_start = trainer, pl_module, copied(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: dict, batch_idx: int
    ) -> None:
        self.batches.append({key: value.clone() for key, value in batch.items()})
        self.learning_rates.append(
            {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        self.weights.append(copied(pl_module))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated.append(copied(pl_module))

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.tested = copied(pl_module)


def copied(module: pl.LightningModule) -> dict[str, Tensor]:
    """Copy a module's weights and statistics."""
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes as long as training here; runs of a wider scope draw theirs."""
    for name in ("learning_curves", "save_png"):
        monkeypatch.setattr(f"agnet_vision.training.train.{name}", lambda *_: None)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Watch the next run, ahead of its own callbacks.

    Averaged weights are seen where they are in use.
    """
    recorder = Recorder()
    monkeypatch.setattr(
        agnet_vision.training.train,
        "build_callbacks",
        lambda *args, **kwargs: [recorder, *build_callbacks(*args, **kwargs)],
    )
    return recorder


def write_unbalanced(root: Path) -> Path:
    """Write 8 cats, 4 dogs and 2 owls to train on."""
    write_pictures(root, {"train": 8, "val": 1, "test": 1})
    for name, count in (("dog", 4), ("owl", 2)):
        for path in sorted((root / "train" / name).iterdir())[count:]:
            path.unlink()
    return root
