"""``agnet summarize``: repeated runs side by side."""

from __future__ import annotations

import glob
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agnet_vision.cli.command import Command
from agnet_vision.errors import ConfigError
from agnet_vision.training.options import Options, Place, option
from agnet_vision.training.validation import validate


class SummarizeConfig(Options):
    """Which runs."""

    runs: Place = option(
        ..., "pattern of folders of finished trainings that differ in their seeds only"
    )


def call(given: Mapping[str, Any]) -> None:
    """Print one row a run, mean and deviation."""
    config = validate(SummarizeConfig, given)
    from agnet_vision.training.summary import summarize_runs

    folders = [path for path in map(Path, sorted(glob.glob(config.runs))) if path.is_dir()]
    if not folders:
        raise ConfigError(
            f"runs={config.runs} matches no folder; quote it, so that the shell leaves the asterisk alone"
        )
    finished = [folder for folder in folders if (folder / "metrics.json").is_file()]
    for folder in folders:
        if folder not in finished:
            print(f"{folder} has no metrics.json and is left out", file=sys.stderr)
    print(summarize_runs(finished))


COMMAND = Command(schema=SummarizeConfig, call=call, examples=("runs='outputs/caltech256/*'",))
