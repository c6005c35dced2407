"""The words of a command line to options by name.

They are read by the grammar of Hydra's overrides. Numbers, lists and mappings are Hydra's. Text is
not: a path may hold whatever a file name can, so an option that is text by its schema is taken as
the user typed it. Quotes around it are taken off, and ``null`` means None.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from agnet_vision.cli.command import Command
from agnet_vision.errors import ConfigError
from agnet_vision.options.fields import Option, list_options
from agnet_vision.options.validation import unknown_option


def parse(words: Sequence[str], command: Command) -> dict[str, Any]:
    """Read a command's ``name=value`` words, the last of each option.

    Raises:
        ConfigError: a word is not such a pair, names no option of the command, or cannot be read.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, value, is_text = read_word(word, command)
        given[name] = as_typed(name, value) if is_text else _value(name, value)
    return given


def read_word(word: str, command: Command) -> tuple[str, str, bool]:
    """Take ``name=value`` apart, ignoring Hydra's plus signs.

    Returns:
        Name, value, and whether the value is text.

    Raises:
        ConfigError: it is not such a pair, or the command has no such option.
    """
    if word.startswith("~"):
        raise ConfigError(f"options cannot be taken out, only changed: name=value, got {word!r}")
    name, equals, value = word.lstrip("+").partition("=")
    if not equals or not name:
        raise ConfigError(f"options are given as name=value, got {word!r}")
    options = {each.name: each for each in list_options(command.schema)}
    is_known = _is_entry(name, options) or name in command.layers or name in options
    if not is_known and not any(full.startswith(f"{name}.") for full in options):
        raise unknown_option(command.schema, name)
    return name, value, name in options and options[name].is_text


def _is_entry(name: str, options: Mapping[str, Option]) -> bool:
    """Tell whether a name is in a free mapping."""
    return any(each.is_free and name.startswith(f"{each.name}.") for each in options.values())


def _value(name: str, value: str) -> Any:
    override = read_override(name, value)
    if override.is_sweep_override():
        raise ConfigError(
            f"{name}={value} asks for several runs; add --multirun, or quotes if it is one value"
        )
    return override.value()


def as_typed(name: str, value: str) -> Any:
    """Take text as null, a bracketed list, or itself."""
    if value == "null":
        return None
    if value[:1] + value[-1:] == "[]" and not os.path.exists(value):
        return [str(each) for each in _value(name, value)]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return str(_value(name, value))
    return value


def read_override(name: str, value: str) -> Override:
    """Read a value by Hydra's grammar.

    Raises:
        ConfigError: it does not fit the grammar; says how text can be typed.
    """
    try:
        # Under a name of ours: the user's need not be one of Hydra's.
        (override,) = OverridesParser.create().parse_overrides([f"name={value}"])
    except HydraException as error:
        cure = f"{name}={quoted(value)}"
        raise ConfigError(f'{name}={value} cannot be read; if it is text, type "{cure}"') from error
    return override


def quoted(text: str) -> str:
    """Write text so that Hydra's grammar takes it unchanged."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"
