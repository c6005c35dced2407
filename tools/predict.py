"""Classify images: ``python tools/predict.py --help``, or ``agnet predict``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("predict")
