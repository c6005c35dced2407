"""Checkpoints are whole or not there, and signals end a run between two steps or at once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from agnet_vision.errors import DiskFullError, Stopped
from agnet_vision.training.checkpoints import SIGNALS, AtomicCheckpointIO, stoppable
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.train import train
from tests.training.tiny import Configure, Evaluate, checkpoint, interrupt_after


def test_full_disk_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(3)}, path)
    before = path.read_bytes()
    original = Path.open

    def open_full(self: Path, mode: str = "r", **kwargs: Any) -> Any:
        # /dev/full answers every write with "no space left on device".
        return original(Path("/dev/full") if self.suffix == ".tmp" else self, mode, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    advice = r"the disk is full .*, then go on with agnet train resume=true"
    with pytest.raises(DiskFullError, match=advice), stoppable(tmp_path):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_while_testing(
    configure: Configure,
    configure_evaluation: Evaluate,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def step(self: AGNetModule, batch: dict, batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(AGNetModule, "test_step", step)
    with pytest.raises(KeyboardInterrupt, match="go on with"):
        train(configure("resume=true", "test=true", "epochs=1", f"run_dir={copy}"))
    with pytest.raises(KeyboardInterrupt):
        evaluate(configure_evaluation(f"checkpoint={copy}"))
    assert not (copy / "metrics.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_cluster_s_signal_saves_the_step(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupt_after(2, patch, number)
        with pytest.raises(Stopped, match="go on with") as stopped:
            train(configure("test=false"))
    assert stopped.value.number == number
    assert checkpoint(tmp_path / "run")["global_step"] == 2
    assert signal.getsignal(number) == handler


def test_value_a_patient_run_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stoppable(tmp_path) as request:
        request.patient = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == signal.SIGTERM
        assert "SIGTERM: stopping after this step" in capsys.readouterr().err
        with pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), signal.SIGINT)
        assert stopped.value.number == signal.SIGINT


def test_value_what_signals_did_before_is_given_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stoppable(tmp_path) as request:
        assert signal.getsignal(signal.SIGINT) == request._note
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Lightning does
        request.listen()
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_lightning_s_exit_becomes_the_interrupt_again(tmp_path: Path) -> None:
    def leave() -> None:
        try:
            raise Stopped(15)
        except KeyboardInterrupt:
            sys.exit(1)

    with pytest.raises(Stopped), stoppable(tmp_path):
        leave()
    with pytest.raises(SystemExit), stoppable(tmp_path):
        sys.exit(1)
