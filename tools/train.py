"""Train AG-Net: ``python tools/train.py dataset=stanford40 backbone=resnet50``; conf/train.yaml lists every option."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig
from options import check_options, restore_options

from agnet_vision.errors import friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="train")
def main(config: DictConfig) -> None:
    """Run one training; the heavy imports stay in here, since loader workers import this file, too."""
    with friendly_errors():
        from agnet_vision.training.train import train

        train(restore_options(config))


if __name__ == "__main__":
    with friendly_errors():
        sys.argv[1:] = check_options("train")
        main()
