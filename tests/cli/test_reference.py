"""What is written from the schemas is current."""

from __future__ import annotations

import pytest
import yaml

from agnet_vision.cli.command import COMMANDS, load_command
from agnet_vision.cli.reference import ROOT, help_text, reference_page, train_yaml
from agnet_vision.options.fields import list_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import validate

WITH_OPTIONS = [name for name in COMMANDS if name != "benchmark"]


def test_generated_files_are_current() -> None:
    advice = "write it anew with: python -m agnet_vision.cli.reference"
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == reference_page(), advice
    assert (ROOT / "conf" / "train.yaml").read_text(encoding="utf-8") == train_yaml(), advice


def test_train_yaml_holds_the_defaults() -> None:
    assert validate(TrainConfig, yaml.safe_load(train_yaml())) == TrainConfig()


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_help_explains_every_option_and_nothing_else(name: str) -> None:
    command = load_command(name)
    text = help_text(name, command, f"agnet {name}")
    options = list(list_options(command.schema))
    shown = [
        line.split("=")[0].strip()
        for line in text.split("options:\n")[1].splitlines()
        if line[2] != " "
    ]
    assert shown == [option.name for option in options]
    assert all(option.description for option in options)
    assert text.startswith(f"usage: agnet {name} [name=value ...]")
    assert max(map(len, text.split("options:\n")[1].splitlines())) <= 110


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_examples_can_be_read(name: str) -> None:
    import shlex

    from agnet_vision.cli.parse import parse

    command = load_command(name)
    for example in command.examples:
        words = [word for word in shlex.split(example) if not word.startswith("--")]
        one_run = [word for word in words if not word.startswith("seed=0,")]
        assert len(parse(one_run, command)) == len(one_run)
