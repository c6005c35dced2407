"""Kinds of training side by side: means over seeds, and paired differences to a baseline.

A difference is taken seed by seed and, where the same images were tested, image by image, so that
what makes one seed or one image easier for all kinds of run drops out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import estimates_of, strata_of
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.statistics import Estimate, Interval, mean_interval, paired_difference

SCORES = ("mAP", "acc", "macro_F1")  # those of them that the task has


@dataclass(frozen=True)
class Trained:
    """What is compared of a finished training.

    Attributes:
        seed: seed, the same as that of its partner of another kind.
        scores: ``SCORES``, of the test split if it was tested, else of the validation split.
        tested: paths of the test images, in order; empty where it was not tested.
        strata: number of the kind of each of them, as ``interval`` needs it.
        estimates: test scores, with what they would be without each image.
    """

    seed: tuple[Any, ...]
    scores: dict[str, float]
    record: dict[str, Any]
    tested: Sequence[str] = ()
    strata: Int[np.ndarray, " images"] | None = None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)


def read_trained(
    folder: RunFolder, seed: tuple[Any, ...], tested: RunFolder | None = None
) -> Trained:
    """Read the scores and the cost of a finished training.

    Args:
        tested: folder of an evaluation of it, whose scores count instead of its own.

    Raises:
        ConfigError: it is not finished, or its files are damaged.
    """
    record = folder.read_record()
    tested = tested or folder
    if tested.is_tested():
        found = tested.read_results()
        scores = {name: float(found.scores[name]) for name in SCORES if name in found.scores}
        strata = strata_of(found.task, found.label)
        by_score = estimates_of(found.task, found.label, found.probability)
        return Trained(seed, scores, record, found.paths, strata, by_score)

    rows = [row for row in folder.read_history() if "val/mAP" in row]
    if not record.get("finished") or not rows:
        raise ConfigError(
            f"{folder.path} holds no finished training; let it finish or leave it out"
        )
    best = max(rows, key=lambda row: row["val/mAP"])
    scores = {name: best[f"val/{name}"] for name in SCORES if f"val/{name}" in best}
    return Trained(seed, scores, record)


@dataclass(frozen=True)
class ArmSummary:
    """A kind of training in the table.

    Attributes:
        count: number of runs, one per seed.
        mean: mean of each score over the runs.
        deviation: sample standard deviation of each score; NaN for a single run.
        difference: difference of each score to the baseline's, with its 95 % interval; empty for
            the baseline.
        seconds: mean training time; CPU time where it ran on CPUs, so that what else the machine
            did does not count.
        images_seen: mean number of training views.
        forward_ms: milliseconds per image of a batch; None: not measured.
    """

    name: str
    count: int
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: dict[str, Interval]
    seconds: float
    images_seen: float
    parameters: int
    forward_ms: float | None = None


def compare(kinds: Mapping[str, Sequence[Trained]], baseline: str) -> list[ArmSummary]:
    """Summarize each kind that has a run, the baseline first.

    Raises:
        ConfigError: there is no such kind, or it has no runs; or some runs are of one label per
            image and others of several.
    """
    if not kinds.get(baseline):
        having = ", ".join(name for name, runs in kinds.items() if runs) or "none has any yet"
        raise ConfigError(f"baseline={baseline} must be one that has finished runs: {having}")
    if len({tuple(run.scores) for runs in kinds.values() for run in runs}) > 1:
        raise ConfigError("runs must all be of one label per image, or all of several, got both")
    others = {name: runs for name, runs in kinds.items() if runs and name != baseline}
    return [
        _summary(baseline, kinds[baseline], ()),
        *(_summary(name, runs, kinds[baseline]) for name, runs in others.items()),
    ]


def _summary(name: str, runs: Sequence[Trained], baseline: Sequence[Trained]) -> ArmSummary:
    values = {score: [run.scores[score] for run in runs] for score in runs[0].scores}
    return ArmSummary(
        name=name,
        count=len(runs),
        mean={score: float(np.mean(found)) for score, found in values.items()},
        deviation={
            score: float(np.std(found, ddof=1)) if len(runs) > 1 else np.nan
            for score, found in values.items()
        },
        difference={score: _difference(runs, baseline, score) for score in values if baseline},
        seconds=float(np.mean([run.record.get("training_seconds", np.nan) for run in runs])),
        images_seen=float(np.mean([run.record.get("images_seen", np.nan) for run in runs])),
        parameters=int(runs[0].record.get("parameters", 0)),
    )


def _difference(runs: Sequence[Trained], baseline: Sequence[Trained], score: str) -> Interval:
    """Compare the runs of equal seeds; NaN where there are none."""
    partners = {run.seed: run for run in baseline}
    pairs = [(run, partners[run.seed]) for run in runs if run.seed in partners]
    if not pairs:
        return Interval(np.nan, np.nan, np.nan)

    tested, strata = pairs[0][0].tested, pairs[0][0].strata
    if strata is None or any(run.tested != tested for pair in pairs for run in pair):
        return mean_interval(
            np.array([one.scores[score] - two.scores[score] for one, two in pairs])
        )
    first = [one.estimates[score] for one, _ in pairs]
    second = [two.estimates[score] for _, two in pairs]
    return paired_difference(first, second, strata)


def as_markdown(rows: Sequence[ArmSummary]) -> str:
    """Write the table, scores in percent and differences with 95 % intervals."""
    head = ["", "seeds"]
    for score in rows[0].mean if rows else ():
        head += [f"{score} %", "difference"]
    head += ["training s", "images seen", "parameters learned", "forward ms"]
    lines = []
    for row in rows:
        cells = [row.name, str(row.count)]
        for score in row.mean:
            cells += [_percent(row.mean[score], row.deviation[score]), _points(row, score)]
        cells += [f"{row.seconds:,.0f}", f"{row.images_seen:,.0f}", f"{row.parameters:,}"]
        cells.append("" if row.forward_ms is None else f"{row.forward_ms:.2f}")
        lines.append(cells)
    return markdown_table(head, lines)


def verdicts(rows: Sequence[ArmSummary]) -> str:
    """Say in words what the differences mean, and what the table's numbers are."""
    lines = []
    baseline = rows[0].name if rows else ""
    for row in rows:
        for score, found in row.difference.items():
            if found.is_known:
                seeds = " (one seed: images only, seeds unseen)" if row.count == 1 else ""
                words = f"the difference in {score} is {found.verdict}{seeds}"
                lines.append(f"- {row.name}: {words}.\n")
    return (
        "Scores are means over the seeds in percent, ± their standard deviation. A difference is "
        f"to {baseline}, seed by seed and image by image, in points; the bracket is its 95 % "
        "interval over test images and, of several, seeds; it holds 0 where chance may be all.\n\n"
        + "".join(lines)
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table, with all columns but the first set to the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))


def _percent(mean: float, deviation: float) -> str:
    return f"{mean:.2%}".rstrip("%") + ("" if np.isnan(deviation) else f" ± {100 * deviation:.2f}")


def _points(row: ArmSummary, score: str) -> str:
    if not row.difference:
        return "baseline"
    value, low, high = (100 * end for end in row.difference[score])
    if np.isnan(value):
        return "no seed in common"
    return f"{value:+.2f}" if np.isnan(low) else f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
