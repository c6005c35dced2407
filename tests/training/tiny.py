"""The smallest runs over a tiny folder of images, and what is looked at in them."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from agnet_vision.options.resolve import evaluation_options, training_options
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.training.module import AGNetModule, TrainingModule
from benchmarks.child import write_images
from tests.cli.saved import given

Configure = Callable[..., TrainConfig]
Evaluate = Callable[..., EvaluateConfig]
Weights = Mapping[str, Tensor]

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

# No regions to compute; plain gradient descent, so that a step is the learning rate times the
# gradient.
PLAIN = (
    "model=backbone_only",
    "model.head.dropout=0.0",
    "test=false",
    "augmentation.preset=none",
    "epochs=1",
)
DESCENT = (
    *PLAIN,
    "optimizer.name=sgd",
    "optimizer.momentum=0",
    "optimizer.weight_decay=0",
    "optimizer.lr=0.5",
    "optimizer.backbone_lr=0.5",
    "schedule.name=constant",
    "schedule.warmup_epochs=0",
)


def training(*words: str) -> TrainConfig:
    """Read the options of a training as typed."""
    return training_options(given("train", *words))


def evaluation(*words: str) -> EvaluateConfig:
    """Read the options of an evaluation as typed."""
    return evaluation_options(given("evaluate", *words))


class Recorder(Callback):
    """A record of a run: batches, learning rates and weights.

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


def write_unbalanced(root: Path) -> Path:
    """Write 8 cats, 4 dogs and 2 owls for training."""
    write_images(root, {"train": 8, "val": 1, "test": 1})
    for name, count in (("dog", 4), ("owl", 2)):
        for path in sorted((root / "train" / name).iterdir())[count:]:
            path.unlink()
    return root


def checkpoint(run_dir: Path, name: str = "last.ckpt") -> dict:
    return torch.load(run_dir / name, weights_only=True)


def learned(weights: Weights, module: AGNetModule) -> Tensor:
    """Put all parameters, without the statistics, into one vector."""
    return torch.cat([weights[name].flatten() for name, _ in module.named_parameters()])


def assert_same(first: Weights, second: Weights) -> None:
    torch.testing.assert_close(dict(first), dict(second), rtol=1e-5, atol=1e-6)


def differ(first: Weights, second: Weights, part: str) -> bool:
    return any(
        not torch.equal(first[name], second[name]) for name in first if name.startswith(part)
    )


def read_rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def interrupt_after(steps: int, patch: pytest.MonkeyPatch, number: int = signal.SIGINT) -> None:
    """Press Ctrl-C, or send another signal, during a training step."""
    original, taken = TrainingModule.training_step, [0]

    def step(self: TrainingModule, batch: dict, batch_idx: int) -> torch.Tensor:
        taken[0] += 1
        if taken[0] == steps:
            os.kill(os.getpid(), number)
        return original(self, batch, batch_idx)

    patch.setattr(TrainingModule, "training_step", step)
