"""The evaluation report: a run folder -> one HTML file that opens offline."""

from agnet_vision.report.write import write_report

__all__ = ["write_report"]
