"""Judge heat maps: ``python tools/faithfulness.py --help``, or ``agnet faithfulness``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("faithfulness")
