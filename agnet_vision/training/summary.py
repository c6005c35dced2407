"""Several runs of one experiment -> mean and standard deviation of their scores."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agnet_vision.errors import ConfigError

SCORES = ("acc", "mAP", "mean_per_class_acc")
# What repetitions of one experiment may differ in; workers and the cache do not change a result.
MAY_DIFFER = (
    "seed",
    "dataset.split_seed",
    "dataset.root",
    "run_dir",
    "resume",
    "workers",
    "cache_dir",
    "report",
    "wandb",
)


class Summary(NamedTuple):
    """Scores of repeated runs.

    Attributes:
        runs: folder, ``split_seed`` (None where the dataset has one split), ``seed`` and scores of every run.
        mean: of every score.
        deviation: the sample standard deviation (over n - 1) of every score; None for a single run.
    """

    runs: list[dict[str, Any]]
    mean: dict[str, float]
    deviation: dict[str, float] | None

    def __str__(self) -> str:
        """Write a table: one row a run, mean and deviation below."""
        rows = [("run", "split_seed", "seed", *self.mean)]
        for run in self.runs:
            shown = "" if run["split_seed"] is None else str(run["split_seed"])
            rows.append(
                (
                    run["folder"],
                    shown,
                    str(run["seed"]),
                    *(f"{run[name]:.4f}" for name in self.mean),
                )
            )
        rows.append(("mean", "", "", *(f"{value:.4f}" for value in self.mean.values())))
        if self.deviation is not None:
            rows.append(
                (
                    "standard deviation",
                    "",
                    "",
                    *(f"{value:.4f}" for value in self.deviation.values()),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def summarize_runs(folders: Sequence[Path]) -> Summary:
    """Read ``metrics.json`` and ``config.yaml`` of training runs that differ in their seeds only.

    Raises:
        ConfigError: no run, one that is not finished, two of the same seeds, or runs of different experiments.
    """
    if not folders:
        raise ConfigError("there is no run to summarize; name folders that hold metrics.json")
    runs, seen = [], dict[tuple[Any, Any, str], Path]()
    first: dict[str, Any] = {}
    for folder in folders:
        options, scores = _read(folder)
        kept = {key: value for key, value in options.items() if not _may_differ(key)}
        first = first or kept
        if differing := sorted(
            key for key in first.keys() | kept.keys() if first.get(key) != kept.get(key)
        ):
            key = differing[0]
            raise ConfigError(
                f"{folder} has {key}={kept.get(key)}, {folders[0]} has {first.get(key)}; no mean of the two"
            )
        split_seed, seed = options.get("dataset.split_seed"), options.get("seed")
        other = seen.setdefault((split_seed, seed, scores["split"]), folder)
        if other != folder:
            raise ConfigError(
                f"{folder} and {other} have the same seeds; a repetition needs another one"
            )
        runs.append({"folder": str(folder), "split_seed": split_seed, "seed": seed, **scores})
    names = [name for name in SCORES if all(isinstance(run.get(name), int | float) for run in runs)]
    mean = {name: statistics.fmean(run[name] for run in runs) for name in names}
    deviation = (
        {name: statistics.stdev(run[name] for run in runs) for name in names}
        if len(runs) > 1
        else None
    )
    return Summary(runs, mean, deviation)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the options, flat, and the scores of one run."""
    for name in ("config.yaml", "metrics.json"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{folder} has no {name}: it is no finished training run; leave it out or finish it"
            )
    options = _flat(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    return options, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def _flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested options as ``group.name``."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": value}
        )
    return flat


def _may_differ(key: str) -> bool:
    """Tell options that do not make another experiment."""
    return any(key == name or key.startswith(f"{name}.") for name in MAY_DIFFER)
