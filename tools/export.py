"""Export a network: ``python tools/export.py --help``, or ``agnet export``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("export")
