"""What is logged where."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from lightning_utilities.core.imports import RequirementCache
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


def test_logs_hold_losses_scores_and_learning_rates(configure: Configure, tmp_path: Path) -> None:
    train(configure("model=backbone_only", "test=false"))
    run_dir = tmp_path / "run"
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


@pytest.mark.parametrize(
    ("name", "made"),
    [("none", ["CSVLogger"]), ("[csv,tensorboard]", ["CSVLogger", "TensorBoardLogger"])],
)
def test_the_csv_file_is_always_written(
    configure: Configure, tmp_path: Path, name: str, made: list[str]
) -> None:
    loggers = build_loggers(configure(f"logger={name}").logger, tmp_path)
    assert [type(logger).__name__ for logger in loggers] == made


def test_options_of_a_logger(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agnet_vision.training.loggers.WandbLogger", dict)
    names = ("logger.wandb.project=parts", "logger.wandb.run_name=first")
    _, made = build_loggers(configure("logger=wandb", *names).logger, tmp_path)
    assert made == {"project": "parts", "name": "first", "save_dir": tmp_path}


def test_raises_without_the_package(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = RequirementCache("no-such-package>=1")
    monkeypatch.setattr("pytorch_lightning.loggers.wandb._WANDB_AVAILABLE", missing)
    with pytest.raises(ConfigError, match=r"no-such-package>=1' not met.*pip install"):
        train(configure("logger=wandb"))
