"""Sum up runs: ``python tools/summarize_runs.py --help``, or ``agnet summarize``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("summarize")
