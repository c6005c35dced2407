"""Compare heads on stored maps: ``python tools/probe.py --help``, or ``agnet probe``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("probe")
