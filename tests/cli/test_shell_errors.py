"""The library's errors as a command line says them."""

from __future__ import annotations

import errno
import io
import pickle
import sys

import pytest

from agnet_vision.cli.shell_errors import one_line_errors
from agnet_vision.errors import AGNetError, ConfigError, ShellCommand, Stopped

RESUME = ShellCommand("train", {"resume": True, "run_dir": "my runs/it's"})


def test_errors_say_their_command(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "go on with agnet train resume=true 'run_dir=my runs/it'\"'\"'s'"
    for error in (ConfigError("go on with", RESUME), AGNetError("go on with", RESUME)):
        with pytest.raises(SystemExit) as stopped, one_line_errors():
            raise pickle.loads(pickle.dumps(error))  # as from a process
        assert stopped.value.code == f"error: {expected}"

    for stop, number in ((Stopped(15, "go on with", RESUME), 143), (KeyboardInterrupt(), 130)):
        with pytest.raises(SystemExit) as stopped, one_line_errors():
            raise stop
        assert stopped.value.code == number
    said = "interrupted; what was saved stays saved"
    assert capsys.readouterr().err == f"{said}; {expected}\n{said}\n"


def test_a_terminal_without_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    with one_line_errors():
        print("шмель", flush=True)
    assert content.getvalue().startswith(b"\\u0448")


def test_full_disk() -> None:
    with pytest.raises(SystemExit, match="the disk is full"), one_line_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "x")
    with pytest.raises(OSError, match="odd"), one_line_errors():
        raise OSError(errno.EIO, "odd")
