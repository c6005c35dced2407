"""Train a network: ``python tools/train.py --help``, or ``agnet train``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("train")
