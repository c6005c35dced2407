"""A command run by Hydra: once, or with ``--multirun`` for each combination of values."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from agnet_vision.cli.command import load_command
from agnet_vision.cli.shell_errors import one_line_errors
from agnet_vision.cli.words import SWEEP, as_words, for_hydra, parse_line
from agnet_vision.options.compose import (
    HYDRA_VERSION,
    as_composed,
    composition_errors,
    conf_folder,
)


def run_command(name: str, words: Sequence[str], started: Sequence[str]) -> None:
    """Let Hydra compose a command's options, and run it with them.

    Args:
        words: words that follow its name on the command line.
        started: words before those, by which this process was started.

    Raises:
        ConfigError: the words are no options of the command.
    """
    from agnet_vision.training.run_dir import is_first

    own = for_hydra(words, name)
    if not is_first():  # of a run's processes the first alone makes a folder
        own.append("hydra.run.dir=.")
    flags = parse_line(words)[1]
    sweeping = [flags.pop(name) for name in SWEEP if name in flags]

    def job(config: DictConfig) -> None:
        """Run the command as if the options of this job alone had been typed."""
        settings, folder = HydraConfig.get(), Path(HydraConfig.get().runtime.output_dir)
        task = [word.removeprefix("++") for word in settings.overrides.task]
        sys.argv = [*started, *((*task, *as_words(flags)) if sweeping else words)]

        command = load_command(name)
        with one_line_errors(), ExitStack() as stack:
            stack.callback(remove_if_empty, folder)
            with composition_errors():
                names = (word.partition("=")[0].lstrip("+") for word in task)
                composed = as_composed(config, names)

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


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra has made, and those around it, if nothing was written."""
    with suppress(OSError):  # it holds something
        os.removedirs(os.path.relpath(folder))
