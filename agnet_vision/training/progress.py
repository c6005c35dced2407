"""The progress bar: batches, time gone and left, images a second, and the metrics."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.progress import ProgressColumn, Task
from rich.text import Text


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
    """Rich progress bar with batches, time gone and left, images a second and the metrics.

    Args:
        batch_size: images a step on each process.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__(refresh_rate=4, theme=RichProgressBarTheme(metrics_format=".3f"))
        self.batch_size = batch_size

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Put the speed in images in the place of the one in batches."""
        *columns, _ = super().configure_columns(trainer)
        return [*columns, ImagesPerSecond(self.batch_size * trainer.world_size)]

    def _get_train_description(self, current_epoch: int) -> str:
        """Count epochs from one, as the plots do; Lightning's own counts from zero."""
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Leave out the logger's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
