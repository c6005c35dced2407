"""Prepare a dataset: ``python tools/prepare_dataset.py --help``, or ``agnet prepare``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("prepare")
