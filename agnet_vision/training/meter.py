"""Training time and image count, kept across resumes."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class Meter(Callback):
    """Counter of training views and epochs' seconds, validation included.

    On CPUs seconds are those of this process, so that what else the machine does is not counted;
    what loader workers take is not in them. On other devices they are by the clock.

    Attributes:
        seconds: so far, of finished epochs.
        images: seen in training, by all processes.
    """

    def __init__(self) -> None:
        self.seconds, self.images = 0.0, 0
        self._began = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._began = _now(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Count the images of the step."""
        self.images += len(batch["label"]) * trainer.world_size

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch, before a checkpoint keeps the sum."""
        self.seconds += _now(pl_module) - self._began

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"seconds": self.seconds, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.seconds, self.images = state_dict["seconds"], state_dict["images"]


def _now(module: pl.LightningModule) -> float:
    return time.process_time() if module.device.type == "cpu" else time.monotonic()
