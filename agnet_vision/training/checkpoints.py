"""Checkpoints of a run, and the signals that ask for one."""

from __future__ import annotations

import math
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
from pytorch_lightning.callbacks import Checkpoint

from agnet_vision.errors import FULL, DiskFullError, ShellCommand, Stopped
from agnet_vision.evaluation.run_folder import RunFolder
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

        try:
            with open_atomically(path) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # torch wraps the system's error, of a full disk for one
            raise (error.__context__ or error) from None


class StopRequest:
    """A request to end a run: a training ends after its step, anything else at once.

    A second signal ends it at once in any case.
    """

    def __init__(self) -> None:
        self.patient = False  # whether the run will look at the number soon
        self.number = 0  # of the signal that came

    def listen(self) -> None:
        """Take the signals, also back from Lightning's own handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)

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
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if is_main}
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
        for number, handler in before.items():
            signal.signal(number, handler)


class RunCheckpoints(Checkpoint):
    """``best.ckpt`` and ``last.ckpt``, saved after each epoch, the latter at a signal, too.

    Args:
        folder: files of the run.
        request: request to end the run, kept until a step is done.
        monitor: score by which an epoch is the best; None without validation: the last one is.
    """

    def __init__(self, folder: RunFolder, request: StopRequest, monitor: str | None) -> None:
        self.folder = folder
        self.request = request
        self.monitor = monitor
        self._best_score = -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Return the score of the best epoch so far."""
        return {"best_score": self._best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best epoch before."""
        self._best_score = state_dict["best_score"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep signals for a step's end."""
        self.request.listen()
        self.request.patient = True

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
            trainer.save_checkpoint(self.folder.last)
            raise Stopped(number)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the checkpoints, after validation."""
        score = math.inf
        if self.monitor is not None:
            score = float(trainer.callback_metrics[f"val/{self.monitor}"])
            score = -score if self.monitor == "loss" else score
        if self.monitor is None or score > self._best_score:
            self._best_score = score
            trainer.save_checkpoint(self.folder.best)

        trainer.save_checkpoint(self.folder.last)
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
