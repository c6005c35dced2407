"""Ctrl-C and a cluster's signals, which end a run."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from agnet_vision.errors import Stopped

# SIGTERM comes with scancel, docker stop and a time limit; SIGUSR1 where sbatch was told to warn.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]


class StopRequest:
    """A request to end a run.

    A training ends between two steps, anything else at once.

    A second signal ends it at once in any case.

    Attributes:
        patient: the run will look at ``number`` soon.
        number: of the signal that came; 0: none.
    """

    def __init__(self) -> None:
        self.patient = False
        self.number = 0
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
def stoppable() -> Iterator[StopRequest]:
    """Turn signals into ``Stopped`` while a run goes on."""
    request = StopRequest()
    request.listen()
    try:
        yield request
    finally:
        request.give_back()


@contextmanager
def interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """Turn Lightning's exit after a signal back into the interrupt."""
    try:
        yield
    except SystemExit as exit_request:
        if isinstance(exit_request.__context__, KeyboardInterrupt):
            raise exit_request.__context__ from None
        raise
