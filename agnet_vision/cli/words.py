"""The words of a command line, rewritten so that Hydra takes them as they are meant.

Hydra's grammar gives commas, brackets, blanks and ``=`` a meaning, and any of them may be in a file
name. So what is text by the schema is quoted, and all that is not quoted remains Hydra's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise

from agnet_vision.cli.command import Command
from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import DECIDED, files_of
from agnet_vision.options.fields import Option, list_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import unknown_option

CONFIG_DIR = ("--config-dir", "-cd")
# Hydra's flags that are followed by a value, always or perhaps.
WITH_VALUE = {*CONFIG_DIR, "--config-name", "-cn", "--config-path", "-cp"}
WITH_VALUE |= {"--cfg", "-c", "--package", "-p", "--experimental-rerun"}
WITH_CHOICE = ("--info", "-i")
MULTIRUN = {"--multirun", "-m"}
COMPLETION = {"--shell-completion", "-sc"}


def for_hydra(words: Sequence[str], command: Command) -> list[str]:
    """Rewrite the words after the name of a command.

    Raises:
        ConfigError: a word is not ``name=value``, or names no option of the command.
    """
    if COMPLETION & set(words):
        return list(words)
    flags, settings = split_flags(words)
    is_sweep = bool(MULTIRUN & set(flags))
    if is_sweep and not command.has_run_dir:
        raise ConfigError("--multirun is for train and evaluate")

    found: dict[str, str] = {}  # in the order of the command line, which is that of a sweep
    for word in settings:
        name, equals, value = word.partition("=")
        if name.startswith("~"):
            cure = "logger=none logs nothing" if name == "~logger" else "null unsets most of them"
            raise ConfigError(f"options cannot be taken out, got {word}; {cure}")
        if not equals or not name:
            raise ConfigError(f"options are given as name=value, got {word!r}")
        bare = name.lstrip("+")
        if bare == "dataset.name" and "dataset" in command.groups:
            bare = "dataset"
        if bare in command.groups:
            found[bare] = f"{bare}={value}"
        elif bare == "hydra.run.dir" and command.has_run_dir:
            found["run_dir"] = f"++run_dir={_text(value, is_sweep=is_sweep)}"
        elif _is_for_hydra(name, command):
            found[name] = word
        else:
            found[bare] = f"++{_setting(bare, value, command, is_sweep=is_sweep)}"

    if "backbone" in found:
        folder = next((after for flag, after in pairwise(flags) if flag in CONFIG_DIR), "")
        value = found["backbone"].partition("=")[2]
        if names := _networks(value, files_of("backbone", folder), is_sweep=is_sweep):
            found |= {"backbone": "backbone=timm", "backbone.name": f"++backbone.name={names}"}
    elif "backbone.name" in found and "backbone" in command.groups:
        found["backbone"] = "backbone=timm"
    return [*found.values(), *flags]


def split_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the flags, each with its value, from ``name=value``."""
    flags: list[str] = []
    settings: list[str] = []
    before = ""
    for word in words:
        is_value = before in WITH_VALUE or (before in WITH_CHOICE and "=" not in word)
        if is_value or word.startswith("-"):
            flags += word.split("=", 1) if word.startswith("--") else [word]
            before = "" if is_value else word
        else:
            settings.append(word)
            before = ""
    return flags, settings


def _is_for_hydra(name: str, command: Command) -> bool:
    """Tell whether a word is an option of Hydra's, or of a group that the user adds."""
    bare = name.lstrip("+")
    is_added = name.startswith("+") and "." not in name and bare not in _options(command)
    return bare.startswith(("hydra.", "hydra/")) or is_added or "/" in bare or "@" in bare


def _options(command: Command) -> dict[str, Option]:
    return {each.name: each for each in list_options(command.schema)}


def _setting(name: str, value: str, command: Command, *, is_sweep: bool) -> str:
    """Write an option as Hydra's grammar has it.

    Raises:
        ConfigError: there is no such option.
    """
    options = _options(command)
    # Options of train, in a free mapping: base.dataset.root=... of a study.
    free = next((n for n, each in options.items() if each.is_free and name.startswith(f"{n}.")), "")
    inner = name.removeprefix(f"{free}.") if free else name
    if free:
        options = {each.name: each for each in list_options(TrainConfig)}
        # A choice and its options have to be beside each other in one tree.
        name += f".{DECIDED[inner][0]}" if len(DECIDED.get(inner, ())) == 1 else ""
    elif not any(f"{each}.".startswith(f"{name}.") for each in options):
        raise unknown_option(command.schema, name)
    is_text = inner in options and options[inner].is_text
    return f"{name}={_text(value, is_sweep=is_sweep) if is_text else value}"


def _text(value: str, *, is_sweep: bool) -> str:
    """Quote text, but for what is quoted already, a list, or null."""
    is_list = value[:1] + value[-1:] == "[]" and not os.path.exists(value)
    if is_list or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
        return value
    parts = value.split(",") if is_sweep else [value]
    return ",".join(part if part == "null" else quoted(part) for part in parts)


def quoted(text: str) -> str:
    """Write text so that Hydra's grammar takes it unchanged."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def _networks(value: str, files: Sequence[str], *, is_sweep: bool) -> str:
    """Write the networks that are chosen by their names in timm; empty for files of the group.

    Raises:
        ConfigError: files and other names are mixed in a sweep.
    """
    names = value.split(",") if is_sweep else [value]
    if all(name in files for name in names) or "(" in value:
        return ""
    if mixed := sorted({"timm", "default"} & set(names)):
        raise ConfigError(f"backbone={value} must name networks or files, not both ({mixed[0]})")
    return ",".join(map(quoted, names))
