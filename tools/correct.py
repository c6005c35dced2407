"""Correct a network by marks: ``python tools/correct.py --help``, or ``agnet correct``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("correct")
