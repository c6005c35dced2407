"""What is logged where."""

from __future__ import annotations

import csv
import math
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lightning_utilities.core.imports import RequirementCache
from pytorch_lightning.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agnet_vision.errors import ConfigError
from agnet_vision.training.loggers import build_loggers
from agnet_vision.training.train import train
from tests.training.tiny import Configure

LOGGED = {
    "train/loss",
    "train/loss_epoch",
    "val/acc",
    "val/mAP",
    "val/mean_per_class_acc",
    "val/top5",
    "val/loss",
}
RATES = {
    f"lr-AdamW/{part}_{kind}" for part in ("backbone", "head") for kind in ("decay", "no_decay")
}


class LoggerOfOurs(Logger):
    """Stands in for W&B's."""

    made: list[LoggerOfOurs]
    name = version = None

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options, self.metrics = options, {}
        self.made.append(self)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.metrics |= metrics

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> type[LoggerOfOurs]:
    """Make W&B look installed."""
    module = ModuleType("wandb")
    module.__spec__ = ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("agnet_vision.training.loggers.WandbLogger", LoggerOfOurs)
    LoggerOfOurs.made = []
    return LoggerOfOurs


def test_logs_hold_losses_scores_and_learning_rates(
    configure: Configure, wandb: type[LoggerOfOurs], tmp_path: Path
) -> None:
    train(
        configure(
            "model=backbone_only",
            "test=false",
            "logger=[tensorboard,wandb]",
            "logger.wandb.project=parts",
            "logger.wandb.run_name=first",
        )
    )
    run_dir = tmp_path / "run"
    (to_wandb,) = wandb.made
    assert to_wandb.options == {"project": "parts", "name": "first", "save_dir": run_dir}
    events = EventAccumulator(str(run_dir / "tensorboard" / "version_0")).Reload()
    with (run_dir / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Every tenth step is logged: the last of two epochs, one of warm-up and one down to a
    # hundredth.
    factor = 0.01 + 0.99 * (1 + math.cos(math.pi * 4 / 5)) / 2
    for name in LOGGED | RATES:
        in_csv = [float(row[name]) for row in rows if row[name]]
        if name in RATES:
            assert in_csv == pytest.approx([factor * (0.001 if "head" in name else 0.0003)])
        assert in_csv, name
        assert [event.value for event in events.Scalars(name)] == pytest.approx(in_csv), name
        assert to_wandb.metrics[name] == pytest.approx(in_csv[-1]), name


@pytest.mark.parametrize(
    ("name", "made"),
    [("none", ["CSVLogger"]), ("[csv,tensorboard]", ["CSVLogger", "TensorBoardLogger"])],
)
def test_the_csv_file_is_always_written(
    configure: Configure, tmp_path: Path, name: str, made: list[str]
) -> None:
    loggers = build_loggers(configure(f"logger={name}").logger, tmp_path)
    assert [type(logger).__name__ for logger in loggers] == made


def test_raises_without_the_package(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RequirementCache("no-such-package>=1")
    monkeypatch.setattr("pytorch_lightning.loggers.wandb._WANDB_AVAILABLE", missing)
    with pytest.raises(ConfigError, match=r"no-such-package>=1' not met.*pip install"):
        train(configure("logger=wandb"))
