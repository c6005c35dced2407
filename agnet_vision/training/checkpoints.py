"""Checkpoints of a run, and the signals that ask for one."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from agnet_vision.errors import (
    FULL,
    CheckpointError,
    DiskFullError,
    ShellCommand,
    Stopped,
    first_line,
)
from agnet_vision.files import open_atomically

# What best.ckpt holds: the network. What a run needs to go on is in last.ckpt alone.
NETWORK_KEYS = ("agnet", "epoch", "global_step", "pytorch-lightning_version", "state_dict")
# SIGTERM comes with scancel, docker stop and a time limit; SIGUSR1 where sbatch was told to warn.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]


def how_to_go_on(run_dir: Path) -> tuple[str, ShellCommand | None]:
    """Say how a run that was cut off goes on, and by which command."""
    if not (run_dir / "last.ckpt").is_file():
        return "start again with the same options", None
    return "go on with", ShellCommand("train", {"resume": True, "run_dir": str(run_dir)})


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint files that take their name only when complete.

    After a full disk or a power failure the one before is still whole.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the checkpoint, of ``best.ckpt`` the network alone."""
        path = Path(path)
        if path.name == "best.ckpt":
            checkpoint = {key: checkpoint[key] for key in NETWORK_KEYS}

        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open_atomically(path) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch wraps the system's error in a RuntimeError
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            kept = "the one before is untouched; " if path.exists() else ""
            cure, command = how_to_go_on(path.parent)
            raise CheckpointError(
                f"could not write {path}: {first_line(reason)}; {kept}free some space, then {cure}",
                command,
            ) from error


class StopRequest:
    """A request to end a run: a training ends after its step, anything else at once.

    A second signal ends it at once in any case.
    """

    def __init__(self) -> None:
        self.patient = False  # whether the run will look at the number soon
        self.number = 0  # of the signal that came
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals, also back from Lightning's own handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.signal(number, self._note)
                self._before.setdefault(number, before)

    def give_back(self) -> None:
        """Let the signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number or not self.patient:
            raise Stopped(number)
        self.number = number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        sys.stderr.write(
            f"\n{name}: stopping after this step; once more stops at once, without saving it\n"
        )


@contextmanager
def stoppable(run_dir: Path) -> Iterator[StopRequest]:
    """Turn signals into ``Stopped``, and say how the run goes on after one or a full disk."""
    request = StopRequest()
    request.listen()

    try:
        yield request
    except (KeyboardInterrupt, SystemExit) as error:
        stop = error.__context__ if isinstance(error, SystemExit) else error  # Lightning exits
        if not isinstance(stop, KeyboardInterrupt):
            raise
        number = getattr(stop, "number", signal.SIGINT)
        raise Stopped(number, *how_to_go_on(run_dir)) from stop
    except OSError as error:
        if error.errno not in FULL:
            raise
        what = error.filename or "while writing"
        cure, command = how_to_go_on(run_dir)
        raise DiskFullError(
            f"the disk is full ({what}); free some space, then {cure}", command
        ) from error
    finally:
        request.give_back()


class BestCheckpoint(ModelCheckpoint):
    """The best epoch's checkpoint, found again when the run's folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Look for the files in the current folder."""

        def here(path: str) -> str:
            """Return the path of the file of that name in this folder."""
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved: dict[str, Any] = {"dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[key] = here(state_dict[key])
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": kept})


class LastCheckpoint(Checkpoint):
    """``last.ckpt``, saved after every epoch and when a signal asks for it."""

    def __init__(self, folder: Path, request: StopRequest) -> None:
        self.path = folder / "last.ckpt"
        self.request = request
        self._position: dict[str, int] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store how far the loader is in its epoch."""
        loader: Any = trainer.train_dataloader
        checkpoint["loader_position"] = loader.state_dict()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the position until there is a loader."""
        self._position = checkpoint["loader_position"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep signals for a step's end, and move the loader to its place.

        Lightning moves only loaders it has not asked for their length before.
        """
        self.request.listen()
        self.request.patient = True
        loader = trainer.train_dataloader
        if self._position is None or loader is None:
            return

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
        """Agree on the signal over all processes, or one would wait for the others forever."""
        if trainer.world_size == 1:
            return self.request.number
        number = torch.tensor(self.request.number, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(number, reduce_op="max"))
