"""Compare kinds of training: ``python tools/study.py --help``, or ``agnet study``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("study")
