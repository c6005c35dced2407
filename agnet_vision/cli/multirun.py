"""Several runs by one command line.

The sweeper and the launchers are Hydra's, the options are ours. Hydra splits ``seed=0,1,2`` into
jobs and starts them, on a cluster if one of its launchers says so. Each job is a command line of
ours again, so that a run of a sweep is the run that is typed alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

from agnet_vision.cli.command import Command
from agnet_vision.cli.parse import parse, quoted, read_override, read_word
from agnet_vision.cli.shell_errors import one_line_errors

# Hydra keeps no files of its own but the list of jobs.
HYDRA = {
    "defaults": ["_self_", {"override hydra/job_logging": "none"}],
    "hydra": {
        "hydra_logging": {"formatters": {"simple": {"format": "%(message)s"}}},
        "run": {"dir": "."},
        "output_subdir": None,
    },
}
# In one tree a short name (model=full) and the full names under it would contradict each other.
SHORT = "short."


def run_many(command: Command, words: Sequence[str], program: Sequence[str]) -> None:
    """Run a command once for each combination of listed values.

    Args:
        command: what is run.
        words: ``name=value,value``, and options of Hydra's own such as ``hydra/launcher=joblib``.
        program: how this process was called, without the words.

    Raises:
        ConfigError: a word is wrong; found before the first run.
    """
    for_hydra = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    overrides = [_to_hydra(word, command) for word in words if word not in for_hydra]
    ConfigStore.instance().store("agnet_multirun", HYDRA)

    def job(config: Any) -> None:
        """Run one of them, as if it had been typed."""
        job_words = [_from_hydra(text) for text in HydraConfig.get().overrides.task]
        HydraConfig.instance().cfg = None  # or Lightning would start its processes Hydra's way
        sys.argv = [*program, *job_words]
        with one_line_errors():
            command.call(parse(job_words, command))

    sys.argv = [program[0], "--multirun", *overrides, *for_hydra]
    hydra.main(version_base=None, config_path=None, config_name="agnet_multirun")(job)()


def _to_hydra(word: str, command: Command) -> str:
    """Write a word so that Hydra takes text unchanged.

    Only commas part the runs.
    """
    name, value, is_text = read_word(word, command)
    if is_text and value[:1] not in ("'", '"', "["):
        value = ",".join(each if each == "null" else quoted(each) for each in value.split(","))
    read_override(name, value)
    return f"++{SHORT if name in command.layers else ''}{name}={value}"


def _from_hydra(override: str) -> str:
    return override.removeprefix("++").removeprefix(SHORT)
