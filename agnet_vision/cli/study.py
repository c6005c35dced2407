"""``agnet study``: kinds of training compared over seeds."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from pydantic import model_validator

from agnet_vision.cli.command import Command
from agnet_vision.options.compose import find_file
from agnet_vision.options.fields import Base, Jobs, LocalPath, Options, Place, Text, Threads, option


class StudyConfig(Options):
    """Options of ``agnet study``."""

    study: Place | None = option(
        "demo, stanford40, or a YAML file with base, arms, seeds and baseline"
    )
    runs: Place | list[Place] | None = option(
        "instead: pattern of folders of finished trainings, compared as they are"
    )
    base: Base
    output: LocalPath | None = option(
        "the study's folder; null: outputs/studies/<name of the file>"
    )
    baseline: Text | None = option("with runs: name of the arm that others are compared to")
    jobs: Jobs
    threads: Threads
    cluster: dict[str, Any] | None = option(
        "run on SLURM, jobs at a time, with what submitit asks it for: cluster.slurm_partition=gpu "
        "cluster.timeout_min=240",
        rule="parameters of submitit such as {timeout_min: 240}",
    )
    summary: bool = option("train nothing, compare what is finished")

    @model_validator(mode="after")
    def _check(self) -> StudyConfig:
        if (self.study is None) == (self.runs is None):
            raise ValueError("study must name a file, or runs must name folders: one of the two")
        return self


def call(config: StudyConfig) -> None:
    """Run what is not finished, and print the table."""
    path = find_file("study", "studies", config.study) if config.study else None
    from rich.markdown import Markdown

    from agnet_vision.studies.comparison import as_markdown, verdicts
    from agnet_vision.studies.study import check_runs, read_study, run_study
    from agnet_vision.studies.table import summarize_runs, summarize_study
    from agnet_vision.training.console import console

    if path is None:
        output = Path(config.output or "outputs/studies/runs")
        patterns = [config.runs] if isinstance(config.runs, str) else config.runs or []
        found = [Path(path) for pattern in patterns for path in sorted(glob.glob(pattern))]
        folders = [path for path in found if (path / "config.yaml").is_file()]
        rows = summarize_runs(folders, output, config.baseline)
    else:
        study = read_study(path, config.base)
        output = Path(config.output or Path("outputs", "studies", path.stem))
        if config.summary:
            check_runs(study, output)
        else:
            run_study(
                study, output, jobs=config.jobs, threads=config.threads, cluster=config.cluster
            )
        rows = summarize_study(study, output)
    text = f"{as_markdown(rows)}\n{verdicts(rows)}"
    screen = console(soft_wrap=False)
    if screen.is_terminal:
        screen.print(Markdown(text))
    else:  # in a file, a line of the table is a line
        print(text)
    print(f"written to {output}")


COMMAND = Command(
    schema=StudyConfig,
    call=call,
    examples=(
        "study=demo jobs=2",
        "study=stanford40 base.dataset.root=stanford40",
        "runs='outputs/caltech256/*'",
    ),
)
