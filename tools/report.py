"""Write a report: ``python tools/report.py --help``, or ``agnet report``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("report")
