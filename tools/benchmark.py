"""Measure the library: ``python tools/benchmark.py --help``, or ``agnet benchmark``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("benchmark")
