"""A run's bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

# Logged name -> the word for it in a line.
SHOWN_SCORES = {
    "train/loss_epoch": "loss",
    "val/loss": "val loss",
    "val/acc": "acc",
    "val/mAP": "mAP",
}


def progress_callbacks(batch_size: int) -> list[Callback]:
    """Choose what suits the place that output goes to."""
    console = Console()
    if console.is_terminal or console.is_jupyter:
        return [ProgressBar(batch_size)]
    return [EpochLines()]


class TimeLeft:
    """The run's time left, by steps since ``trainer`` began."""

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer, self.began, self.first = trainer, time.monotonic(), trainer.global_step

    def __str__(self) -> str:
        """Show hours, minutes and seconds, or dashes before any step."""
        step = self.trainer.global_step
        if step <= self.first:
            return "-:--:--"
        seconds = (time.monotonic() - self.began) / (step - self.first)
        return clock(seconds * (self.trainer.estimated_stepping_batches - step))


def clock(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds."""
    whole = max(round(seconds), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class ImagesPerSecond(ProgressColumn):
    """Speed in images instead of batches."""

    def __init__(self, images_per_batch: int) -> None:
        super().__init__()
        self.images_per_batch = images_per_batch

    def render(self, task: Task) -> Text:
        """Show the mean over the last batches."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed * self.images_per_batch:.0f} images/s" if speed else "- images/s")


class ProgressBar(RichProgressBar):
    """Rich progress bar with images a second and time left.

    Args:
        batch_size: images a step on each process.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__(refresh_rate=4, theme=RichProgressBarTheme(metrics_format=".3f"))
        self.batch_size = batch_size
        self.time_left: TimeLeft | None = None

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Show the speed in images instead of batches."""
        *columns, _ = super().configure_columns(trainer)
        return [*columns, ImagesPerSecond(self.batch_size * trainer.world_size)]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the whole run."""
        super().on_train_start(trainer, pl_module)
        self.time_left = TimeLeft(trainer)

    def _get_train_description(self, current_epoch: int) -> str:
        """Count epochs from one, as the plots do."""
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Leave out the logger's version, and add the time left."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        if trainer.training and self.time_left is not None:
            metrics["run left"] = str(self.time_left)
        return metrics


class EpochLines(Callback):
    """A line an epoch: loss, scores, seconds and time left."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        self.time_left = TimeLeft(trainer)
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line, after validation."""
        seconds, self.began = time.monotonic() - self.began, time.monotonic()
        if not trainer.is_global_zero:
            return
        found = trainer.callback_metrics
        scores = [
            f"{word} {found[name]:.3f}" for name, word in SHOWN_SCORES.items() if name in found
        ]
        parts = [
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            *scores,
            f"{seconds:.0f} s",
            f"{self.time_left} left",
        ]
        Console(soft_wrap=True, highlight=False).print("  ".join(parts))
