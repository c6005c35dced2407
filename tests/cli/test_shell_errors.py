"""The library's errors as a command line says them."""

from __future__ import annotations

import sys

import pytest

from agnet_vision.cli.shell_errors import in_shell_words, one_line_errors, translate
from agnet_vision.errors import AGNetError, ConfigError
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import OptionError, unknown_option, validate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add resume=True to go on", "add resume=true to go on"),
        ("give dataset.csv=None, or leave it out", "give dataset.csv=null, or leave it out"),
        ("None of it is True", "None of it is True"),
        (
            "go on with agnet_vision.train(resume=True, run_dir='my runs/a (1)')",
            "go on with agnet train resume=true 'run_dir=my runs/a (1)'",
        ),
        (
            'test it with agnet_vision.evaluate(checkpoint="it\'s"); or not',
            "test it with agnet evaluate 'checkpoint=it'\"'\"'s'; or not",
        ),
    ],
)
def test_python_becomes_a_command_line(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/agnet", "train"])
    assert translate(text) == expected


def test_a_user_of_tools_hears_of_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tools/train.py"])
    said = translate("agnet_vision.train(resume=True, run_dir='x')")
    assert said == "python tools/train.py resume=true run_dir=x"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            unknown_option(TrainConfig, "optimizer.lrr"),
            "there is no option optimizer.lrr; did you mean optimizer.lr? --help lists all",
        ),
        (unknown_option(TrainConfig, "xyzzy"), "there is no option xyzzy; --help lists all"),
        (
            OptionError("a.b", "True or False, or None", None),
            "a.b must be true or false, or null, got null",
        ),
        (OptionError("a", "True or False", True), "a must be true or false, got true"),
        (OptionError("a", "one of x", "y"), "a must be one of x, got 'y'"),
        (ConfigError("give grid=False"), "give grid=false"),
    ],
)
def test_errors(error: AGNetError, expected: str) -> None:
    assert in_shell_words(error) == expected


def test_one_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(
            SystemExit, match=r"^error: epochs must be a whole number of at least 1, got null$"
        ),
        one_line_errors(),
    ):
        validate(TrainConfig, {"epochs": None})
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        raise KeyboardInterrupt("go on with agnet_vision.train(resume=True, run_dir='x')")
    assert stopped.value.code == 130
    assert (
        "interrupted; what was saved stays saved; go on with agnet train resume=true"
        in capsys.readouterr().err
    )


def test_full_disk() -> None:
    import errno

    with pytest.raises(SystemExit, match="the disk is full"), one_line_errors():
        raise OSError(errno.ENOSPC, "No space left on device", "x")
    with pytest.raises(OSError, match="odd"), one_line_errors():
        raise OSError(errno.EIO, "odd")
