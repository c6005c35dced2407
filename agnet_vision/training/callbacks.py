"""What happens beside the steps of a training: freezing, averaging, seeding, stopping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
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


class RandomState(Callback):
    """Random state of each process, so that dropout repeats and a resumed run goes on the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: list[dict[str, Any]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with this process's stored state."""
        if trainer.global_rank < len(self._states):
            state = self._states[trainer.global_rank]
            torch.set_rng_state(state["torch"])
            if "cuda" in state and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["cuda"])
        self._states = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed from run, epoch and process."""
        sequence = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state on every process; all of them call this."""
        state = {"torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state()
        states: list[Any] = [state]
        if dist.is_available() and dist.is_initialized():
            states *= dist.get_world_size()
            dist.all_gather_object(states, state)
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self._states = state_dict["processes"]


class EarlyStop(EarlyStopping):
    """Early stopping with the patience of the current options, after a resume too."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where the run had ended."""
        trainer.should_stop = self.wait_count >= max(self.patience, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how long the run has waited, not its patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})
