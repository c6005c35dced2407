"""``--multirun``: a run of ours for each combination of values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from agnet_vision.cli.command import Command
from agnet_vision.cli.multirun import run_many
from agnet_vision.errors import ConfigError
from agnet_vision.options.run import TrainConfig


@pytest.fixture
def given() -> list[Mapping[str, Any]]:
    """What each run was called with."""
    return []


@pytest.fixture
def command(given: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr(sys, "argv", ["agnet"])
    layers = {"dataset": "its name", "model": "its variant"}
    return Command(schema=TrainConfig, call=given.append, examples=("",), layers=layers)


def test_value_every_combination_is_a_run(
    command: Command, given: list[Mapping[str, Any]], tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("seed=0,1", "model=full,backbone_only", "run_dir=a b/it's", "dataset=demo")
    run_many(command, words, ["agnet", "train"])
    assert [(each["seed"], each["model"]) for each in given] == [
        (0, "full"),
        (0, "backbone_only"),
        (1, "full"),
        (1, "backbone_only"),
    ]
    assert {each["run_dir"] for each in given} == {"a b/it's"}
    assert sys.argv[:2] == ["agnet", "train"]
    assert "seed=1" in sys.argv


def test_raises_before_the_first_run(command: Command, given: list[Mapping[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="there is no option sead"):
        run_many(command, ("seed=0,1", "sead=3"), ["agnet", "train"])
    assert given == []
