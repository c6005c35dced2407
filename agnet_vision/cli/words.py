"""The words of a command line, rewritten so that Hydra takes them as they are meant.

Hydra's grammar gives commas, brackets, blanks and ``=`` a meaning, and any of them may be in a file
name. So what is text by the schema is quoted, and all that is not quoted remains Hydra's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from agnet_vision.cli.command import load_command
from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import DECIDED, files_of, groups_of, quoted
from agnet_vision.options.fields import Options, list_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import did_you_mean, unknown_option, wrong_value

# Flags of Hydra's: those that stand alone, and those that a value follows, of these or any.
SWEEP = ("--multirun", "-m")
COMPLETION = ("--shell-completion", "-sc")
ALONE = (*SWEEP, *COMPLETION, "--run", "-r", "--resolve", "--hydra-help")
SHOWN = ("job", "hydra", "all")
TOLD = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
VALUED = {"--cfg": SHOWN, "-c": SHOWN, "--info": TOLD, "-i": TOLD}
VALUED |= {"--package": (), "-p": (), "--config-dir": (), "-cd": ()}


def parse_line(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Part a line into options and flags with their values, which may stand in any order.

    Raises:
        ConfigError: there is no such flag, or it does not take its value.
    """
    options: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not name.startswith("-"):
            options.append(word)
        elif name in ALONE:
            flags[name] = ""
        elif name in VALUED:
            value = value if equals else next(rest, "all" if VALUED[name] == TOLD else "")
            if not value or (VALUED[name] and value not in VALUED[name]):
                rule = f"one of {', '.join(VALUED[name])}" if VALUED[name] else "followed by a name"
                raise wrong_value(name, rule, value, did_you_mean(value, VALUED[name]))
            flags[name] = value
        else:
            hint = did_you_mean(name, [*ALONE, *VALUED, "--help", "--version"])
            raise ConfigError(f"there is no flag {name}{hint or '; --hydra-help lists all'}")
    if "--resolve" in flags and not flags.keys() & {"--cfg", "-c"}:
        raise ConfigError("--resolve is for --cfg; add --cfg job")
    return options, flags


def as_words(flags: Mapping[str, str]) -> list[str]:
    """Write flags as they are typed."""
    return [f"{name}={value}" if value else name for name, value in flags.items()]


def for_hydra(words: Sequence[str], name: str) -> list[str]:
    """Rewrite the words that follow the name of a command.

    Raises:
        ConfigError: a word is not ``name=value``, or names no option of the command.
    """
    options, flags = parse_line(words)
    if flags.keys() & set(COMPLETION):
        return list(words)
    command, groups = load_command(name), groups_of(name)
    is_sweep = bool(flags.keys() & set(SWEEP))
    if is_sweep and not command.has_run_dir:
        raise ConfigError("--multirun is for train and evaluate")

    example = next(filter(None, command.examples))
    found: dict[str, str] = {}  # in the order of the command line, which is that of a sweep
    for word in options:
        typed, value = _parted(word, f"agnet {name} {example}")
        bare = typed.lstrip("+")
        if bare == "dataset.name" and "dataset" in groups:
            bare = "dataset"
        if bare == "hydra.run.dir" and command.has_run_dir:
            typed = bare = "run_dir"
        if bare in groups:
            found[bare] = f"{bare}={value}"
        elif _is_for_hydra(typed, command.schema):
            found[typed] = word
        else:
            setting = _setting(bare, value, command.schema, is_sweep=is_sweep)
            found[bare] = f"++{setting}"

    if "backbone" in found:
        value = found["backbone"].removeprefix("backbone=")
        names = value.split(",") if is_sweep else [value]
        own = files_of("backbone", flags.get("--config-dir") or flags.get("-cd", ""))
        if "(" not in value and not set(names) <= set(own):
            texts = ",".join(map(quoted, names))
            found |= {"backbone": "backbone=timm", "backbone.name": f"++backbone.name={texts}"}
    elif "backbone.name" in found:
        found["backbone"] = "backbone=timm"
    return [*found.values(), *as_words(flags)]


def _parted(word: str, example: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if name.startswith("~"):
        cure = "logger=none logs nothing" if name == "~logger" else "null unsets most of them"
        raise ConfigError(f"options cannot be taken out, got {word}; {cure}")
    if not equals or not name:
        raise ConfigError(f"options are given as name=value, got {word!r}, as in {example}")
    return name, value


def _is_for_hydra(name: str, schema: type[Options]) -> bool:
    """Tell whether a word is an option of Hydra's, or of a group that the user adds."""
    bare = name.lstrip("+")
    is_own = any(bare == each.name for each in list_options(schema))
    is_added = name.startswith("+") and "." not in name and not is_own
    return is_added or bare.startswith("hydra.") or "/" in bare or "@" in bare


def _setting(name: str, value: str, schema: type[Options], *, is_sweep: bool) -> str:
    """Write an option as Hydra's grammar has it."""
    options = {each.name: each for each in list_options(schema)}
    # Options of train, in a free mapping: base.dataset.root=... of a study.
    free = next((n for n, each in options.items() if each.is_free and name.startswith(f"{n}.")), "")
    inner = name.removeprefix(f"{free}.") if free else name
    if free:
        options = {each.name: each for each in list_options(TrainConfig)}
        # A choice and its options have to be beside each other in one tree.
        name += f".{DECIDED[inner][0]}" if len(DECIDED.get(inner, ())) == 1 else ""
    elif not any(f"{each}.".startswith(f"{name}.") for each in options):
        if schema is not TrainConfig and name in {each.name for each in list_options(TrainConfig)}:
            raise ConfigError(f"there is no option {name} here; it is one of agnet train")
        raise unknown_option(schema, name)
    is_text = inner in options and options[inner].is_text
    return f"{name}={_text(value, is_sweep=is_sweep) if is_text else value}"


def _text(value: str, *, is_sweep: bool) -> str:
    """Quote text, but for what is quoted already, a list, or null."""
    is_list = value[:1] + value[-1:] == "[]" and not os.path.exists(value)
    if is_list or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\""):
        return value
    parts = value.split(",") if is_sweep else [value]
    return ",".join(part if part == "null" else quoted(part) for part in parts)
