"""Write a run's report again, or beside a baseline; options and their defaults: conf/report.yaml."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig, OmegaConf
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="report")
def main(config: DictConfig) -> None:
    """Write the report and say where it is."""
    with friendly_errors():
        if OmegaConf.is_missing(config, "run_dir"):
            raise ConfigError("run_dir= is missing; give the folder of a run")
        from agnet_vision.evaluation.report import write_report

        print(write_report(config.run_dir, baseline=config.baseline, root=config.root))


if __name__ == "__main__":
    with friendly_errors():
        check_options("report")
        main()
