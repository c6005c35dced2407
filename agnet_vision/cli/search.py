"""``agnet search``: the best network within a latency budget."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat

from agnet_vision.cli.command import Command
from agnet_vision.options.compose import compose
from agnet_vision.options.fields import Base, Jobs, LocalPath, Options, Place, Seed, Threads, option


class BudgetConfig(Options):
    """Options of what the network may cost when it is used."""

    latency_ms: FiniteFloat | None = option(
        "milliseconds per image, exported to ONNX, on one core of this machine; null: any", gt=0
    )


class SearchConfig(Options):
    """Options of ``agnet search``."""

    budget: BudgetConfig
    metric: Literal[
        "mAP",
        "acc",
        "mean_per_class_acc",
        "top5",
        "micro_mAP",
        "macro_F1",
        "micro_F1",
        "exact_match",
    ] = option("score of the validation split; the test split is not read")
    trials: int = option("number of trials, those that are stopped or not trained included", ge=1)
    search: Place | None = option(
        "default, demo, or a YAML file with base and space; null: the one named after the dataset, "
        "or default",
    )
    base: Base
    space: dict[str, Any] = option(
        "what is drawn, over the file's: space.image_size=[128,192], "
        "space.optimizer.lr={low: 1e-4, high: 1e-2, log: true}; null takes one out",
        rule="options of train with lists of values or ranges",
    )
    output: LocalPath | None = option(
        "the search's folder; an interrupted search goes on; null: outputs/searches/<dataset>"
    )
    seed: Seed = option("seed of what is drawn; base.seed is that of the trainings")
    jobs: Jobs
    threads: Threads


def call(config: SearchConfig) -> None:
    """Run what is not finished, and name the best trial."""
    logging.getLogger().setLevel(logging.WARNING)  # the exporter tells of every constant it merges
    from agnet_vision.studies.search import run_search
    from agnet_vision.studies.search_table import summarize_search
    from agnet_vision.studies.space import read_search

    search = read_search(
        config.search,
        config.base,
        config.space,
        metric=config.metric,
        budget_ms=config.budget.latency_ms,
        seed=config.seed,
    )
    output = Path(config.output or Path("outputs/searches", search.base.get("dataset", "demo")))
    run_search(search, output, config.trials, jobs=config.jobs, threads=config.threads)
    print(f"best within the budget: {summarize_search(search, output)}")
    epochs = compose("train", {}).values["epochs"]
    words = [f"--config-dir={output}", "experiment=best", f"epochs={epochs}"]
    print(f"written to {output}; to train it for longer than a trial, and test it:")
    print(f"agnet train {shlex.join(words)}")


COMMAND = Command(
    schema=SearchConfig,
    call=call,
    examples=(
        "budget.latency_ms=20 metric=mAP trials=40",
        "budget.latency_ms=20 base.dataset=stanford40 base.dataset.root=stanford40 jobs=2",
        "base.dataset=folder base.dataset.root=my_photos space.backbone=[resnet18,resnet50]",
    ),
)
