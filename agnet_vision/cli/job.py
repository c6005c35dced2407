"""A command run by Hydra: once, or with ``--multirun`` for each combination of values."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from agnet_vision.cli.command import load_command
from agnet_vision.cli.shell_errors import one_line_errors
from agnet_vision.cli.words import for_hydra, parse_line, quoted
from agnet_vision.errors import ConfigError, first_line
from agnet_vision.options.compose import (
    HYDRA_VERSION,
    as_composed,
    conf_folder,
    reference_error,
)
from agnet_vision.options.validation import did_you_mean, wrong_value


def run_command(name: str, words: Sequence[str], started: Sequence[str]) -> None:
    """Let Hydra compose a command's options, and run it with them.

    Args:
        name: name of the command.
        words: words that follow it on the command line.
        started: words before those, by which this process was started.

    Raises:
        ConfigError: the words are no options of the command.
    """
    from agnet_vision.training.run_dir import is_first

    own = for_hydra(words, name)
    if not is_first():  # of a run's processes the first alone makes a folder
        own.append("hydra.run.dir=.")
    arguments, flags = parse_line(words)
    flags = [flag for flag in flags if flag not in ("--multirun", "-m")]

    def job(config: DictConfig) -> None:
        """Run the command as if the options of this job alone had been typed."""
        settings, folder = HydraConfig.get(), Path(HydraConfig.get().runtime.output_dir)
        task = [word.removeprefix("++") for word in settings.overrides.task]
        sys.argv = [*started, *(chain(task, flags) if arguments.multirun else words)]

        command = load_command(name)
        with one_line_errors(), removed_if_empty(folder):
            composed = as_composed(config, (word.partition("=")[0].lstrip("+") for word in task))
            if command.has_run_dir and "run_dir" not in composed.names and is_first():
                composed.values["run_dir"] = str(folder)
                if any(word.startswith("hydra.sweep.") for word in settings.overrides.hydra):
                    composed = replace(composed, names=(*composed.names, "run_dir"))
            HydraConfig.instance().cfg = None  # or Lightning would start its processes Hydra's way
            command.run(composed)

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv = [started[0], *own]
    with composition_errors():
        hydra.main(str(conf_folder()), name, version_base=HYDRA_VERSION)(job)()


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove the folder that Hydra has made if nothing was written, and what it lies in."""
    try:
        yield
    finally:
        here = Path.cwd()
        made = [each for each in (folder, *folder.parents) if here in each.parents] or [folder]
        with suppress(OSError):  # from the first that holds something
            for each in made:
                if each != here:
                    each.rmdir()


@contextmanager
def composition_errors() -> Iterator[None]:
    """Say in a line what Hydra could not compose.

    Raises:
        ConfigError: says it.
    """
    try:
        yield
    except MissingConfigException as error:
        group, _, choice = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
        known = sorted(error.options or ())
        if not known:
            raise ConfigError(first_line(error)) from error
        hint = did_you_mean(choice, known)
        raise wrong_value(group, f"one of {', '.join(known)}", choice, hint) from error
    except OverrideParseException as error:
        name, _, value = error.override.lstrip("+").partition("=")
        cure = f'if it is text, type "{name}={quoted(value)}"'
        raise ConfigError(f"{name}={value} cannot be read; {cure}") from error
    except HydraException as error:
        text = first_line(error)
        if ambiguous := re.search(r"'\+*([^']*)'", text) if "multirun" in str(error) else None:
            text = f"{ambiguous[1]} asks for several runs; add --multirun, or quotes around a value"
        raise ConfigError(text) from error
    except OmegaConfBaseException as error:
        raise ConfigError(reference_error(error)) from error
