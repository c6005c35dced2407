"""A command run by Hydra: once, or with ``--multirun`` for each combination of values."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from agnet_vision.cli.command import load_command
from agnet_vision.cli.shell_errors import one_line_errors
from agnet_vision.cli.sweep import print_runs, refuse_shared, rehearsal
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
    command = load_command(name)
    run_dirs: dict[str, str] = {}
    done: list[tuple[list[str], Any]] = []

    def options_of(config: DictConfig) -> tuple[list[str], Any]:
        """Return the words of a job and its checked options."""
        settings = HydraConfig.get()
        task = [word.removeprefix("++") for word in settings.overrides.task]
        with composition_errors():
            composed = as_composed(config, (word.partition("=")[0].lstrip("+") for word in task))
        if command.has_run_dir and "run_dir" not in composed.names and is_first():
            composed.values["run_dir"] = settings.runtime.output_dir
            if any(word.startswith("hydra.sweep.") for word in settings.overrides.hydra):
                composed = replace(composed, names=(*composed.names, "run_dir"))
        return task, command.checked(composed)

    def rehearse(config: DictConfig) -> None:
        """Check the options of a job, whose folder must be its own."""
        with one_line_errors():
            task, options = options_of(config)
            refuse_shared(run_dirs, options.run_dir, " ".join(task))

    def job(config: DictConfig) -> None:
        """Run the command as if the options of this job alone had been typed."""
        with one_line_errors(), ExitStack() as stack:
            stack.callback(remove_if_empty, Path(HydraConfig.get().runtime.output_dir))
            task, options = options_of(config)
            sys.argv = [*started, *((*task, *as_words(flags)) if sweeping else words)]
            HydraConfig.instance().cfg = None  # or Lightning would start its processes Hydra's way
            done.append((task, command.call(options)))

    def launch(call: Callable[[DictConfig], None], line: Sequence[str]) -> None:
        sys.argv = [started[0], *line]
        with composition_errors():
            hydra.main(str(conf_folder()), name, version_base=HYDRA_VERSION)(call)()

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    if sweeping and not any(word.startswith("hydra/sweeper") for word in own):
        with TemporaryDirectory() as folder:
            launch(rehearse, rehearsal(own, folder))
    try:
        launch(job, own)
    finally:
        if finished := [(task, run) for task, run in done if run and sweeping]:
            print_runs(name, finished)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra has made, and those around it, if nothing was written."""
    with suppress(OSError):  # it holds something
        os.removedirs(os.path.relpath(folder))
