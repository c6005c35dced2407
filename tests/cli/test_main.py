"""``agnet`` itself: its words and flags, and its doors in tools/."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from agnet_vision.cli import main as program
from agnet_vision.cli.command import COMMANDS


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["agnet", *words])
    program.main()
    return capsys.readouterr().out


def test_help_lists_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--help",)):
        text = said(monkeypatch, capsys, *words)
        assert all(f"\n  {name} " in text for name in COMMANDS)


def test_every_command_has_a_door() -> None:
    doors = [path.read_text() for path in (Path(__file__).parents[2] / "tools").glob("*.py")]
    assert {text.split('run("')[1].split('"')[0] for text in doors} == set(COMMANDS)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--version",), ("train", "--version")):
        assert said(monkeypatch, capsys, *words) == f"agnet_vision {version('agnet_vision')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "there is no command trian; did you mean train?"),
        (["xyzzy"], "there is no command xyzzy; agnet --help lists all"),
        (["--hlep"], "there is no command --hlep; did you mean --help?"),
        (["train", "--hlep"], "there is no flag --hlep; did you mean --help?"),
        (["train", "seed=1", "--multi-run"], "no flag --multi-run; did you mean --multirun?"),
        (["train", "--xyzzy"], "there is no flag --xyzzy; --hydra-help lists all"),
        (["train", "--config-name=evaluate"], "there is no flag --config-name; did you mean"),
        (["predict", "--multirun"], "--multirun is for train and evaluate"),
        (["predict", "backbone=resnet50"], "there is no option backbone"),
        (["predict", "checkpoint=x"], "images must be given: file, folder"),
        (["study", "study=dmeo"], "or a YAML file that is there, got 'dmeo'; did you mean demo?"),
        (
            ["predict", "checkpoint=x", "images=x", "output=a.txt"],
            "output must end in .csv or .jsonl",
        ),
        (["export", "checkpoint=x", "format=int8"], "format=int8 needs images to calibrate on"),
        (["export", "checkpoint=x", "images=x"], "images are for format=int8"),
        (["extract", "regions=grid"], "regions=grid needs no keypoints"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["agnet", *words])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert str(stopped.value.code).startswith("error: ")
    assert message in str(stopped.value.code)
    assert "\n" not in str(stopped.value.code)
