"""What every benchmark needs: timing in turn, medians and quartiles, and the conditions as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agnet_vision.evaluation.environment import environment
from agnet_vision.export.latency import time_in_turn
from agnet_vision.options.resolve import training_options
from agnet_vision.options.run import TrainConfig


def measure_interleaved(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    items: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Time functions in turn, in milliseconds per item, so that other load hits all of them.

    Args:
        functions: functions to time, by name.
        repeats: number of timed calls of each, after one that warms caches.
        items: number of items that one call works on.
        clock: CPU time of this process, or ``time.perf_counter`` where other processes work.
    """
    seconds = time_in_turn(functions, repeats, clock=clock)
    return {name: [1e3 * each / items for each in times] for name, times in seconds.items()}


def summarize(times: list[float]) -> dict[str, float]:
    """Reduce repeated measurements to median and quartiles."""
    lower, median, upper = np.percentile(times, (25, 50, 75))
    return {
        "median": round(float(median), 4),
        "q25": round(float(lower), 4),
        "q75": round(float(upper), 4),
    }


def ratio(slower: list[float], faster: list[float]) -> dict[str, float]:
    """Compare two functions that were measured in turn, pair by pair."""
    return summarize([a / b for a, b in zip(slower, faster, strict=True)])


def conditions(seed: int) -> dict[str, Any]:
    """Describe where and with what the numbers were measured."""
    load = [round(value, 1) for value in os.getloadavg()]
    return {"seed": seed, "cores": os.cpu_count(), "load": load, **environment()}


def write_report(report: Mapping[str, Any], output: Path | None) -> None:
    """Write the raw numbers as JSON, if asked to."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(report, indent=2) + "\n")


def training_words(words: Sequence[str], defaults: Mapping[str, Any]) -> TrainConfig:
    """Read options of a training from words such as ``image_size=160``, laid over defaults."""
    given = dict(word.split("=", 1) for word in words)
    return training_options(
        {**defaults, **{name: yaml.safe_load(value) for name, value in given.items()}}
    )
