"""Help and the page of options, written from schemas and defaults."""

from __future__ import annotations

import shlex

import pytest

from agnet_vision.cli.command import COMMANDS, load_command
from agnet_vision.cli.reference import ROOT, defaults_of, help_text, reference_page
from agnet_vision.cli.words import for_hydra
from agnet_vision.options.fields import list_options

WITH_OPTIONS = [name for name in COMMANDS if name != "benchmark"]


def test_the_page_is_current() -> None:
    advice = "write it anew with: python -m agnet_vision.cli.reference"
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == reference_page(), advice


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_every_option_has_a_default_and_help_explains_it(name: str) -> None:
    command = load_command(name)
    text = help_text(name)
    options = [option.name for option in list_options(command.schema)]
    assert set(options) - set(defaults_of(name)) <= {"dataset.name"}
    own = text.split("options:\n")[1].split("\n\n")[0].splitlines()
    shown = [line.split("=")[0].strip() for line in own if line[2] != " "]
    assert shown == options
    assert text.startswith(f"usage: agnet {name} [name=value ...]")
    assert "--hydra-help" in text
    assert max(map(len, own)) <= 110


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_examples_can_be_read(name: str) -> None:
    command = load_command(name)
    for example in command.examples:
        words = shlex.split(example)
        assert len(for_hydra(words, name)) >= len(words)
