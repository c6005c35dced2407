"""Mean and standard deviation over repeated runs: ``python tools/summarize_runs.py runs='outputs/caltech256/*'``."""

from __future__ import annotations

import glob
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="summarize_runs")
def main(config: DictConfig) -> None:
    """Print one row a run, mean and deviation."""
    with friendly_errors():
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


if __name__ == "__main__":
    with friendly_errors():
        check_options("summarize_runs")
        main()
