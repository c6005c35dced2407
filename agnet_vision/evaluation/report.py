"""``write_report``: everything measured about a run in one HTML file, without a single address in it."""

from __future__ import annotations

import html
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation import charts
from agnet_vision.evaluation.pictures import (
    Card,
    RegionStatistics,
    confident_mistakes,
    make_cards,
    random_pictures,
)
from agnet_vision.evaluation.pictures import region_statistics as count_regions
from agnet_vision.evaluation.run_folder import Run, read_run
from agnet_vision.evaluation.statistics import (
    METRICS,
    Interval,
    interval,
    mcnemar,
    metric_samples,
    resample_counts,
)
from agnet_vision.models.agnet import load_model

TITLES = {
    "acc": "Accuracy",
    "mean_per_class_acc": "Mean per-class accuracy",
    "mAP": "mAP",
    "top5": "Top-5 accuracy",
}


class Row(NamedTuple):
    """A headline metric, and where there is a baseline, its value and the paired difference."""

    name: str
    value: Interval
    baseline: Interval | None
    difference: Interval | None


class ClassRow(NamedTuple):
    """A class in the list of bars."""

    name: str
    pictures: int
    ap: float
    acc: float
    baseline_ap: float | None


def write_report(
    run_dir: Path | str, *, baseline: Path | str | None = None, root: Path | str | None = None
) -> Path:
    """Write ``report.html`` into a run folder; it opens offline and holds everything it shows.

    Args:
        run_dir: of a training whose test is done, or of an evaluation.
        baseline: another run on the same pictures, to be set side by side.
        root: the dataset's root; by default where the run says it was.

    Returns:
        The file.

    Raises:
        ConfigError: a folder holds no finished run, or the two runs saw different pictures.
        CheckpointError: the run's weights cannot be loaded.
        ImageReadError: a picture is not where it was.
    """
    run = read_run(run_dir)
    other = _same_pictures(run, read_run(baseline)) if baseline is not None else None
    page = {
        "title": f"{run.folder.resolve().name}: {run.scores['dataset']}, {run.scores['split']} split",
        "run": run,
        "baseline": other,
        "rows": _headline(run, other),
        "paired": mcnemar(run.predicted == run.label, other.predicted == other.label)
        if other
        else None,
        "classes": _classes(run, other),
        "curves": charts.learning_curves(run, other) if run.history else "",
        "pr": charts.precision_recall(run, other),
        "calibration": charts.reliability(run, other),
        "confusion": charts.confusion_matrix(run),
        "confused": _confused(run),
        **_photographs(run, Path(root) if root is not None else run.root()),
    }
    path = run.folder / "report.html"
    path.write_text(_render(page), encoding="utf-8")
    return path


def _same_pictures(run: Run, other: Run) -> Run:
    """Bring the baseline's pictures into the order of the run's."""
    place = {path: number for number, path in enumerate(other.paths)}
    if set(place) != set(run.paths) or run.classes != other.classes:
        missing = len(set(run.paths) - set(place))
        raise ConfigError(
            f"baseline={other.folder} must be of the same pictures and classes as {run.folder}; {missing} of "
            f"{len(run.paths)} pictures are missing from it; evaluate both with the same dataset= and split="
        )
    order = np.array([place[path] for path in run.paths])
    return Run(
        **{
            **vars(other),
            "paths": run.paths,
            "label": other.label[order],
            "probability": other.probability[order],
        }
    )


def _headline(run: Run, other: Run | None) -> list[Row]:
    """Put intervals around the metrics; both runs are resampled with the same draws, so that differences are paired."""
    counts = resample_counts(len(run.label))
    own = metric_samples(run.label, run.probability, counts)
    # Of five classes the right one is always among the first five.
    names = [name for name in METRICS if name != "top5" or run.probability.shape[1] > 5]
    if other is None:
        return [Row(TITLES[name], interval(own[name]), None, None) for name in names]
    theirs = metric_samples(other.label, other.probability, counts)
    return [
        Row(
            TITLES[name],
            interval(own[name]),
            interval(theirs[name]),
            interval(own[name] - theirs[name]),
        )
        for name in names
    ]


def _classes(run: Run, other: Run | None) -> list[ClassRow]:
    """List the classes of the split, worst AP first."""
    theirs = other.scores["per_class"] if other else {}
    rows = [
        ClassRow(
            name, row["num_images"], row["ap"], row["acc"], theirs[name]["ap"] if other else None
        )
        for name, row in run.scores["per_class"].items()
        if row["num_images"]
    ]
    return sorted(rows, key=lambda row: row.ap)


def _confused(run: Run, shown: int = 15) -> list[tuple[str, str, int, int]]:
    """List the commonest confusions: true, predicted, how often, of how many."""
    wrong = run.predicted != run.label
    pairs, counts = np.unique(
        np.stack([run.label[wrong], run.predicted[wrong]]), axis=1, return_counts=True
    )
    best = np.argsort(-counts, kind="stable")[:shown]
    return [
        (
            run.classes[pairs[0, k]],
            run.classes[pairs[1, k]],
            int(counts[k]),
            int((run.label == pairs[0, k]).sum()),
        )
        for k in best
    ]


def _photographs(run: Run, root: Path) -> dict[str, Any]:
    """Explain pictures and count regions."""
    model = load_model(run.checkpoint)
    mistakes: list[Card] = make_cards(run, model, root, confident_mistakes(run))
    regions: RegionStatistics | None = count_regions(run, model, root)
    drawn = {}
    if regions is not None:
        drawn["points"] = charts.histogram(regions.points, "Keypoints a picture", "keypoints")
        drawn["groups"] = charts.histogram(regions.groups, "Groups a picture", "groups")
    return {
        "mistakes": mistakes,
        "random": make_cards(run, model, root, random_pictures(run)),
        "regions": regions,
        "region_charts": drawn,
        "proposer": model.proposer.settings(),
        "variant": model.variant,
    }


def _render(page: dict[str, Any]) -> str:
    """Fill in the template; everything is escaped but the charts."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["spaced"] = lambda name: name.replace("_", " ")
    environment.filters["plain"] = lambda value: html.escape(str(value))
    template = (
        files("agnet_vision.evaluation").joinpath("template.html").read_text(encoding="utf-8")
    )
    return environment.from_string(template).render(**page)
