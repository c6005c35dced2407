"""Test a network: ``python tools/evaluate.py --help``, or ``agnet evaluate``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("evaluate")
