"""``agnet report``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.fields import LocalPath, Options, option


class ReportConfig(Options):
    """Options of ``agnet report``."""

    run_dir: LocalPath = option("folder of a training whose test is done, or of an evaluation")
    baseline: LocalPath | None = option(
        "another run on the same images, side by side, in report_against_<its name>.html"
    )
    root: LocalPath | None = option("folder of the dataset; null: where the run says it was")


def call(config: ReportConfig) -> None:
    """Write the report and say where it is."""
    from agnet_vision.evaluation.report import write_report

    print(write_report(config.run_dir, baseline=config.baseline, root=config.root))


COMMAND = Command(
    schema=ReportConfig,
    call=call,
    examples=("run_dir=outputs/demo/my_run baseline=outputs/demo/another",),
)
