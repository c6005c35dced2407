"""Kinds of training side by side.

The table has means over seeds, and paired differences to a baseline. A difference is taken seed by
seed and, where the same images were tested, image by image, so that what makes one seed or one
image easier for all kinds of run drops out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.statistics import (
    Estimate,
    Interval,
    estimates,
    mean_interval,
    paired_difference,
)

SCORES = ("mAP", "acc")


@dataclass(frozen=True)
class Trained:
    """What is compared of a finished training.

    Attributes:
        seed: the same as that of its partner of another kind.
        scores: mAP and accuracy, of the test split if it was tested, else of the validation split.
        record: ``run.json``.
        history: a row an epoch.
        estimates: of the test scores; None: it was not tested.
        images: what the estimates are of: paths and labels, in order.
    """

    seed: tuple[Any, ...]
    scores: dict[str, float]
    record: dict[str, Any]
    history: list[dict[str, float]]
    estimates: dict[str, Estimate] | None
    images: tuple[list[str], Int[np.ndarray, " images"]] | None


def read_trained(
    folder: RunFolder, seed: tuple[Any, ...], tested: RunFolder | None = None
) -> Trained:
    """Read a finished training.

    Args:
        folder: of the training.
        seed: its name among the runs of its kind.
        tested: an evaluation of it, whose scores count instead of its own.

    Raises:
        ConfigError: it is not finished, or its files are damaged.
    """
    record, history = folder.read_record(), folder.read_history()
    tested = tested or folder
    if tested.is_tested():
        found = tested.read_results()
        scores = {name: float(found.scores[name]) for name in SCORES}
        by_score = estimates(found.label, found.probability)
        return Trained(seed, scores, record, history, by_score, (found.paths, found.label))
    rows = [row for row in history if "val/mAP" in row]
    if not record.get("finished") or not rows:
        raise ConfigError(
            f"{folder.path} holds no finished training; let it finish or leave it out"
        )
    best = max(rows, key=lambda row: row["val/mAP"])
    scores = {name: best[f"val/{name}"] for name in SCORES}
    return Trained(seed, scores, record, history, None, None)


@dataclass(frozen=True)
class ArmSummary:
    """A kind of training in the table.

    Attributes:
        name: of the kind.
        count: how many runs, one a seed.
        mean: of each score over the runs.
        deviation: sample standard deviation of each score; NaN of a single run.
        difference: of each score to the baseline's, with its 95 % interval; None for the baseline.
        seconds: mean training time; CPU time where it ran on CPUs, so that what else the machine
            did does not count.
        images_seen: mean number of training views.
        parameters: of the network, those that learn.
        forward_ms: of one image in a batch, milliseconds; None: not measured.
    """

    name: str
    count: int
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: dict[str, Interval] | None
    seconds: float
    images_seen: float
    parameters: int
    forward_ms: float | None = None


def compare(kinds: Mapping[str, Sequence[Trained]], baseline: str) -> list[ArmSummary]:
    """Make a row for each kind, the baseline first.

    Args:
        kinds: name -> its runs; kinds without a run are left out.
        baseline: name of one of them.

    Raises:
        ConfigError: there is no such kind, or it has no runs.
    """
    if not kinds.get(baseline):
        having = ", ".join(name for name, runs in kinds.items() if runs) or "none has any yet"
        raise ConfigError(f"baseline={baseline} must be one that has finished runs: {having}")
    names = [baseline, *(name for name in kinds if name != baseline and kinds[name])]
    return [_row(name, kinds[name], kinds[baseline], name == baseline) for name in names]


def _row(name: str, runs: Sequence[Trained], baseline: Sequence[Trained], own: bool) -> ArmSummary:
    values = {score: [run.scores[score] for run in runs] for score in SCORES}
    many = len(runs) > 1
    return ArmSummary(
        name=name,
        count=len(runs),
        mean={score: float(np.mean(found)) for score, found in values.items()},
        deviation={
            score: float(np.std(found, ddof=1)) if many else float("nan")
            for score, found in values.items()
        },
        difference=None if own else {score: _difference(runs, baseline, score) for score in SCORES},
        seconds=float(np.mean([run.record.get("training_seconds", np.nan) for run in runs])),
        images_seen=float(np.mean([run.record.get("images_seen", np.nan) for run in runs])),
        parameters=int(runs[0].record.get("parameters", 0)),
    )


def _difference(runs: Sequence[Trained], baseline: Sequence[Trained], score: str) -> Interval:
    """Compare the runs of equal seeds, NaN without any."""
    partners = {run.seed: run for run in baseline}
    pairs = [(run, partners[run.seed]) for run in runs if run.seed in partners]
    if not pairs:
        return Interval(*[float("nan")] * 3)
    images = pairs[0][0].images
    first = [run.estimates[score] for run, _ in pairs if run.estimates and _same(run, images)]
    second = [run.estimates[score] for _, run in pairs if run.estimates and _same(run, images)]
    if images is None or not len(first) == len(second) == len(pairs):
        return mean_interval(_array([a.scores[score] - b.scores[score] for a, b in pairs]))
    return paired_difference(first, second, images[1])


def _same(run: Trained, images: tuple[list[str], Int[np.ndarray, " images"]] | None) -> bool:
    """Tell whether a run was tested on these images."""
    return run.images is not None and images is not None and run.images[0] == images[0]


def _array(values: Sequence[float]) -> Float[np.ndarray, " runs"]:
    return np.array(values, dtype=np.float64)


def as_markdown(rows: Sequence[ArmSummary]) -> str:
    """Write the table in percent, differences with 95 % intervals."""
    head = ["", "seeds"]
    for score in SCORES:
        head += [f"{score} %", "difference"]
    head += ["training s", "images seen", "parameters learned", "forward ms"]
    lines = []
    for row in rows:
        cells = [row.name, str(row.count)]
        for score in SCORES:
            cells += [_percent(row.mean[score], row.deviation[score]), _points(row, score)]
        cells += [f"{row.seconds:,.0f}", f"{row.images_seen:,.0f}", f"{row.parameters:,}"]
        cells.append("" if row.forward_ms is None else f"{row.forward_ms:.2f}")
        lines.append(cells)
    return markdown_table(head, lines)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table, all columns but the first to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))


def _percent(mean: float, deviation: float) -> str:
    return f"{mean:.2%}".rstrip("%") + ("" if np.isnan(deviation) else f" ± {100 * deviation:.2f}")


def _points(row: ArmSummary, score: str) -> str:
    if row.difference is None:
        return "baseline"
    value, low, high = (100 * end for end in row.difference[score])
    if np.isnan(value):
        return "no seed in common"
    return f"{value:+.2f}" if np.isnan(low) else f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
