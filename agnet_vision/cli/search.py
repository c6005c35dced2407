"""``agnet search``: the best network within a latency budget."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat

from agnet_vision.cli.command import Command
from agnet_vision.cli.shell_errors import translate
from agnet_vision.options.compose import nest
from agnet_vision.options.fields import LocalPath, Options, Place, Seed, option
from agnet_vision.options.validation import validate


class BudgetConfig(Options):
    """What the network may cost when it is used."""

    latency_ms: FiniteFloat | None = option(
        None, "for an image, exported to ONNX, on one core of this machine; null: any", gt=0
    )


class SearchConfig(Options):
    """What is searched for, and where."""

    budget: BudgetConfig = BudgetConfig()
    metric: Literal["acc", "mAP", "mean_per_class_acc"] = option(
        "mAP", "of the validation split; the test split is not read"
    )
    trials: int = option(40, "in all, those that are stopped or not trained included", ge=1)
    search: Place | None = option(
        None,
        "default | demo | a YAML file with base and space; null: the one named after the dataset, "
        "or default",
    )
    base: dict[str, Any] = option(
        {},
        "options of all trials over those of the file: base.dataset.root=...",
        rule="options of train such as {epochs: 3}",
    )
    space: dict[str, Any] = option(
        {},
        "what is drawn, over the file's: space.image_size=[128,192], "
        "space.optimizer.lr={low: 1e-4, high: 1e-2, log: true}; null takes one out",
        rule="options of train with lists of values or ranges",
    )
    output: LocalPath | None = option(
        None, "the search's folder; an interrupted search goes on; null: outputs/searches/<dataset>"
    )
    seed: Seed = option(0, "of what is drawn; base.seed is that of the trainings")
    jobs: int = option(1, "trials at a time, each a process", ge=1)
    threads: int | None = option(None, "of torch in each; null: the cores, shared out", ge=1)


def call(given: Mapping[str, Any]) -> None:
    """Run what is not finished, and name the best trial."""
    entries: dict[str, dict[str, Any]] = {"base": {}, "space": {}}
    rest: dict[str, Any] = {}
    for name, value in given.items():
        group, _, inner = name.partition(".")
        if group in entries and inner:
            entries[group][inner] = value
        else:
            rest[name] = value
    config = validate(SearchConfig, nest(rest))
    logging.getLogger().setLevel(logging.WARNING)  # the exporter tells of every constant it merges
    from agnet_vision.studies.search import run_search, summarize_search
    from agnet_vision.studies.space import read_search

    search = read_search(
        config.search,
        {**config.base, **entries["base"]},
        {**config.space, **entries["space"]},
        metric=config.metric,
        budget_ms=config.budget.latency_ms,
        seed=config.seed,
    )
    output = Path(config.output or Path("outputs", "searches", search.dataset))
    run_search(search, output, config.trials, jobs=config.jobs, threads=config.threads)
    best = summarize_search(search, output)
    found = f"{search.metric} {best.value:.4f}, {best.user_attrs['latency_ms']:.2f} ms"
    print(f"best within the budget: trial {best.number}, {found}")
    print(f"written to {output}; to train and test it:")
    print(translate(f"agnet_vision.train(experiment={str(output / 'best.yaml')!r})"))


COMMAND = Command(
    schema=SearchConfig,
    call=call,
    examples=(
        "budget.latency_ms=20 metric=mAP trials=40",
        "budget.latency_ms=20 base.dataset=stanford40 base.dataset.root=stanford40 jobs=2",
        "base.dataset=folder base.dataset.root=my_photos space.backbone=[resnet18,resnet50]",
    ),
)
