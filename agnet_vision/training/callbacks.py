"""What happens beside the steps of a training: freezing, averaging, seeding, stopping."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, WeightAveraging
from torch import Tensor


class FreezeBackbone(Callback):
    """A backbone frozen in the first epochs, batch-norm statistics included."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._learning: list[Tensor] | None = None  # what the backbone itself has frozen stays so

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or thaw after a resume in mid-epoch, too, where no epoch starts."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze, or thaw when the time has come."""
        frozen = trainer.current_epoch < self.epochs
        backbone = pl_module.get_submodule("model.backbone")
        if self._learning is None:
            self._learning = [each for each in backbone.parameters() if each.requires_grad]
        for parameter in self._learning:
            parameter.requires_grad_(not frozen)
        backbone.train(not frozen)


class AveragedWeights(WeightAveraging):
    """Exponential averages of weights and statistics over the steps.

    The average is validated, tested and saved. The decay rises with the number of updates t as
    ``min(decay, (1 + t) / (10 + t))``, so that the random start is forgotten in short runs, too.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
            """Move the average towards the current value."""
            if not averaged.is_floating_point():
                return current  # the batch counters of batch norm
            rate = min(decay, (1 + int(updates)) / (10 + int(updates)))
            return torch.lerp(current, averaged, rate)

        super().__init__(avg_fn=average)


class SeededSteps(Callback):
    """Dropout that repeats, also in a run that goes on: each step of each process has its seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed from run, epoch, batch and process."""
        place = [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))


class ChanceWarning(UserWarning):
    """A pretrained network that begins no better than chance."""


class WarnAtChance(Callback):
    """A warning where a pretrained network is no better than guessing after an epoch.

    Args:
        classes: number of classes; guessing is right once in so many.
    """

    def __init__(self, classes: int) -> None:
        chance = 1 / classes
        self.limit = chance + chance * (1 - chance) / 2  # ours: not half of the way to twice it

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the first validation."""
        accuracy = float(trainer.callback_metrics["val/mean_per_class_acc"])
        if trainer.current_epoch == 0 and trainer.is_global_zero and accuracy <= self.limit:
            warnings.warn(
                f"after the first epoch the mean accuracy of the classes, {accuracy:.3f}, is "
                "hardly above guessing, though the backbone is pretrained; check that its weights "
                "are of this network "
                "and of its padding (weights made with TensorFlow's need "
                "backbone.kwargs.pad_type=same), the labels, and optimizer.backbone_lr",
                ChanceWarning,
                stacklevel=2,
            )


class EarlyStop(EarlyStopping):
    """Early stopping with the patience of the current options, after a resume too."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where the run had ended."""
        trainer.should_stop = self.wait_count >= max(self.patience, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how long the run has waited, not its patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})
