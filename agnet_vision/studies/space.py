"""What a search draws, and what its trials share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import Values, files_of, find_file, flatten, lay, read_yaml
from agnet_vision.options.resolve import training_options


@dataclass(frozen=True)
class Search:
    """What a search draws, and what it looks for.

    Attributes:
        base: options of all trials.
        space: options that are drawn: name -> list of values, or range ``{low, high, step, log}``.
        metric: score of the validation split.
        budget_ms: latency that no trial may exceed; None: any.
        seed: seed of the sampler; each training has its own ``seed``.
    """

    base: Values
    space: Mapping[str, Any]
    metric: str = "mAP"
    budget_ms: float | None = None
    seed: int = 0

    def distributions(self) -> dict[str, BaseDistribution]:
        """Write the space as Optuna does."""
        return {name: distribution(name, values) for name, values in self.space.items()}

    def options(self, drawn: Mapping[str, Any], folder: Path) -> Values:
        """Put the options of a trial together; the test split is not used."""
        own = {"run_dir": str(folder), "resume": "auto", "test": False, "report": False}
        return {**lay(self.base, values_of(drawn)), **own, "monitor": self.metric}


def read_search(
    name: str | None, base: Mapping[str, Any], space: Mapping[str, Any], **options: Any
) -> Search:
    """Read a search from YAML, and check every value that it may draw.

    Args:
        name: one of ``conf/searches``, or a file with ``base`` and ``space``; None: the one named
            after the dataset, or else ``default``.
        base: options over those of the file's base.
        space: entries over those of the file's space; None takes one out.

    Raises:
        ConfigError: the file is damaged or not there, or an option is wrong.
    """
    own = flatten(base)
    if name is None:
        dataset = own.get("dataset", "demo")
        name = dataset if dataset in files_of("searches") else "default"
    path = find_file("search", "searches", name)
    content = read_yaml(path)
    if unknown := sorted(set(content) - {"base", "space"}):
        raise ConfigError(f"{path} must hold base and space, got {', '.join(unknown)}")

    entries = {**flatten(content.get("space") or {}), **flatten(space)}
    search = Search(
        base=lay(flatten(content.get("base") or {}), own),
        space={name: values for name, values in entries.items() if values is not None},
        **options,
    )
    search.distributions()  # refuses what is no list or range
    for name, values in search.space.items():
        for value in values if isinstance(values, list) else (values["low"], values["high"]):
            training_options(search.options({name: json.dumps(value)}, Path("unused")))
    return search


def distribution(name: str, values: Any) -> BaseDistribution:
    """Write an entry of the space, a list of values or a range, as Optuna does.

    Raises:
        ConfigError: it is neither.
    """
    try:
        if isinstance(values, list):
            # As text: Optuna keeps no lists, such as backbone.taps may be.
            return CategoricalDistribution([json.dumps(value) for value in values])
        whole = isinstance(values["low"], int) and isinstance(values["high"], int)
        return (IntDistribution if whole else FloatDistribution)(**values)
    except (KeyError, TypeError, ValueError) as error:
        rule = "a list of values, or a range {low: 1, high: 3} with step or log"
        raise ConfigError(f"space.{name} must be {rule}, got {values} ({error})") from error


def values_of(drawn: Mapping[str, Any]) -> Values:
    """Return the options that were drawn, values of lists as they were before they became text."""
    return {n: json.loads(each) if isinstance(each, str) else each for n, each in drawn.items()}


def short_text(value: Any) -> str:
    """Write a value that was drawn, short enough for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
