"""Evaluate a checkpoint: ``python tools/evaluate.py checkpoint=outputs/.../best.ckpt dataset=stanford40``."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig
from options import check_options

from agnet_vision.errors import friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluate one checkpoint; the heavy imports stay in here, since loader workers import this file, too."""
    with friendly_errors():
        from agnet_vision.training.evaluate import evaluate

        evaluate(config)


if __name__ == "__main__":
    with friendly_errors():
        check_options("evaluate")
        main()
