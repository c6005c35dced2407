"""Search within a latency budget: ``python tools/search.py --help``, or ``agnet search``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("search")
