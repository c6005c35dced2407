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


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("/usr/bin/agnet", "go on with agnet train resume=true 'run_dir=my runs/it'\"'\"'s'"),
        ("tools/train.py", "go on with python tools/train.py resume=true 'run_dir=my runs/"),
    ],
)
def test_a_command_is_written_as_this_program_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        raise ConfigError("go on with", RESUME)
    assert str(stopped.value.code).startswith(f"error: {expected}")
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        raise Stopped(15, "go on with", RESUME)
    assert stopped.value.code == 143
    assert f"interrupted; what was saved stays saved; {expected}" in capsys.readouterr().err


def test_errors_say_their_command_and_survive_the_trip_from_a_process() -> None:
    error = pickle.loads(pickle.dumps(AGNetError("go on with", RESUME)))
    assert str(error) == "go on with agnet train resume=true 'run_dir=my runs/it'\"'\"'s'"
    assert str(pickle.loads(pickle.dumps(Stopped(2, "go on")))) == "go on"


def test_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        raise KeyboardInterrupt
    assert stopped.value.code == 130
    assert "what was saved stays saved" in capsys.readouterr().err


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
