"""Freezing, averaging, checkpoints and early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from torch import Tensor

from agnet_vision.errors import Stopped
from agnet_vision.training.stop import StopRequest


class FreezeBackbone(Callback):
    """Freezes the backbone, batch-norm statistics included, in the first epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._learning: list[Tensor] | None = None  # what the backbone itself has frozen stays so

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or thaw after a resume in mid-epoch, too.

        No epoch starts there.
        """
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze, or thaw when the time has come."""
        self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        frozen = trainer.current_epoch < self.epochs
        backbone = pl_module.get_submodule("model.backbone")
        if self._learning is None:
            self._learning = [
                parameter for parameter in backbone.parameters() if parameter.requires_grad
            ]
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
    """Random state that makes dropout repeatable, on each process."""

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
        """Seed from (seed, epoch, process)."""
        sequence = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state of every process, called by all."""
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
    """Early stopping with the current options' patience, resumed or not."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where the run had ended."""
        trainer.should_stop = self.wait_count >= max(self.patience, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore how long the run has waited, not its patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})


class BestCheckpoint(ModelCheckpoint):
    """The best epoch's checkpoint, even in a moved folder."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Look for the files in the current folder."""

        def here(path: str) -> str:
            """Name the file of that name in this folder."""
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved = {
            key: here(state_dict[key])
            for key in ("best_model_path", "kth_best_model_path", "last_model_path")
        }
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            {**state_dict, **moved, "best_k_models": kept, "dirpath": self.dirpath}
        )


class LastCheckpoint(Checkpoint):
    """``last.ckpt``, saved every epoch and when a signal asks.

    Args:
        folder: of the run.
        request: notes the signals.
    """

    def __init__(self, folder: Path, request: StopRequest) -> None:
        self.path = folder / "last.ckpt"
        self.request = request
        self._position: dict[str, int] | None = None

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
        """Keep signals for a step's end, and move the loader.

        Lightning moves only loaders it has not asked for their length before.
        """
        self.request.listen()
        self.request.patient = True
        loader = trainer.train_dataloader
        if self._position is not None and loader is not None:
            loader.load_state_dict(self._position)
            self._position = None
            # Lightning counts batches; of another size now, others are left to the epoch's end.
            loop = trainer.fit_loop.epoch_loop
            if loop.restarted_on_train_batch_end:
                done = loader.batches_done(trainer.current_epoch)
                progress: Any = loop.batch_progress.current
                progress.ready = progress.started = progress.processed = done
                progress.completed = done - 1  # Lightning adds the one it was saved after

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop between two steps when asked to."""
        last_of_epoch = batch_idx + 1 >= trainer.num_training_batches
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if whole and not last_of_epoch and (number := self._asked_to_stop(trainer)):
            trainer.save_checkpoint(self.path)
            raise Stopped(number)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the checkpoint, after validation."""
        trainer.save_checkpoint(self.path)
        if number := self._asked_to_stop(trainer):
            raise Stopped(number)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait no longer: nothing is lost from here on."""
        self.request.patient = False
        if self.request.number:
            raise Stopped(self.request.number)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals from Lightning again."""
        self.request.listen()

    def _asked_to_stop(self, trainer: pl.Trainer) -> int:
        """Agree on the signal over all processes.

        Without that, one would wait for the others forever.
        """
        if trainer.world_size == 1:
            return self.request.number
        number = torch.tensor(self.request.number, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(number, reduce_op="max"))
