"""What happens beside the steps: frozen backbone, averaged weights, random state, last checkpoint, Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, WeightAveraging
from torch import Tensor


class FreezeBackbone(Callback):
    """Keep the backbone as it is during the first epochs: no gradient, and its batch norms keep their statistics, too."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._learning: list[Tensor] | None = None  # what the backbone itself has frozen stays so

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Also after a resume in mid-epoch, where no epoch starts."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze, or thaw when the time has come."""
        self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        frozen = trainer.current_epoch < self.epochs
        backbone = pl_module.get_submodule("model.backbone")
        if self._learning is None:
            self._learning = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        for parameter in self._learning:
            parameter.requires_grad_(not frozen)
        backbone.train(not frozen)


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and statistics: validated, tested and saved in place of the trained ones.

    The decay rises with the number of updates t as ``min(decay, (1 + t) / (10 + t))``, so that the random start is
    forgotten in short runs, too.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"ema_decay must be in (0, 1), got {decay}")

        def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():
                return current  # the batch counters of batch norm
            rate = min(decay, (1 + int(updates)) / (10 + int(updates)))
            return torch.lerp(current, averaged, rate)

        super().__init__(avg_fn=average)


class RandomState(Callback):
    """Make dropout and its like repeatable: seeded each epoch on each process, stored in checkpoints."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._state: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the stored state; it is that of process 0, where checkpoints are written."""
        if self._state is not None and trainer.global_rank == 0:
            torch.set_rng_state(self._state["torch"])
            if "cuda" in self._state and torch.cuda.is_available():
                torch.cuda.set_rng_state(self._state["cuda"])
        self._state = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed from (seed, epoch, process)."""
        sequence = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state on the CPU, and on this process's GPU."""
        state = {"torch": torch.get_rng_state()}
        return state | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until training starts."""
        self._state = state_dict


class LastCheckpoint(Checkpoint):
    """Save ``last.ckpt`` after every epoch, and on Ctrl-C after the current optimizer step; a second Ctrl-C stops at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"
        self._interrupted = False
        self._handler: Any = None
        self._position: dict[str, int] | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over Ctrl-C."""
        self._handler = signal.signal(signal.SIGINT, self._note)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store how far the loader is in its epoch."""
        assert trainer.train_dataloader is not None
        checkpoint["loader_position"] = trainer.train_dataloader.state_dict()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the position until there is a loader."""
        self._position = checkpoint["loader_position"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the loader there; Lightning does so only for loaders it has not asked for their length before."""
        if self._position is not None and trainer.train_dataloader is not None:
            trainer.train_dataloader.load_state_dict(self._position)
            self._position = None

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give Ctrl-C back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back; no teardown follows."""
        self._give_back()

    def _give_back(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here when asked to: between two steps nothing is half done."""
        last_of_epoch = batch_idx + 1 >= trainer.num_training_batches
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if whole and not last_of_epoch and self._asked_to_stop(trainer):
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; validation is over by now."""
        trainer.save_checkpoint(self.path)
        if self._asked_to_stop(trainer):
            raise KeyboardInterrupt

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        """Agree over all processes, or one would wait for the others for ever."""
        if trainer.world_size == 1:
            return self._interrupted
        return trainer.strategy.reduce_boolean_decision(self._interrupted, all=False)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        sys.stderr.write("\nstopping after this step; Ctrl-C again stops at once, without saving it\n")
