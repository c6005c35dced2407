"""Open the local page: ``python tools/demo.py --help``, or ``agnet demo``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("demo")
