"""Everything that was measured about a run, in one HTML file that loads nothing."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import singledispatch
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined
from sklearn.metrics import precision_recall_fscore_support

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation import charts
from agnet_vision.evaluation.correction_report import correction_parts
from agnet_vision.evaluation.evidence_report import accuracy_by_group, where_evidence_lies
from agnet_vision.evaluation.label_report import label_parts
from agnet_vision.evaluation.metrics import estimates_of, strata_of
from agnet_vision.evaluation.run_folder import RunFolder, RunResults
from agnet_vision.evaluation.statistics import Interval, interval, paired_difference
from agnet_vision.evaluation.thumbnails import confident_mistakes, make_cards, random_images
from agnet_vision.explain.figures import UNIFORM
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.task import MultiLabel, SingleLabel, Task

TITLES = {
    "acc": "Accuracy",
    "mean_per_class_acc": "Mean per-class accuracy",
    "mAP": "mAP",
    "top5": "Top-5 accuracy",
    "macro_F1": "Macro F1",
    "micro_F1": "Micro F1",
    "exact_match": "Exact match",
}
SHOWN_CONFUSIONS = 15
SHOWN_GROUPS = 15


class Headline(NamedTuple):
    """A metric and, given a baseline, its value and difference."""

    name: str
    value: Interval
    baseline: Interval | None = None
    difference: Interval | None = None


def write_report(
    run_dir: Path | str, *, baseline: Path | str | None = None, root: Path | str | None = None
) -> Path:
    """Write ``report.html``, whole and offline, into a run folder.

    Beside a baseline it is ``report_against_<baseline>.html``, and the run's own stays.

    Args:
        run_dir: folder of a training whose test is done, or of an evaluation.
        baseline: folder of another run on the same images, to be set beside it.
        root: root of the dataset; by default where the run says it was.

    Raises:
        AGNetError: a folder holds no finished run, the two runs saw different images, or weights or
            images are not where they were.
    """
    run = RunFolder(run_dir).read_results()
    before = run.folder.before
    is_corrected = bool(run.folder.read_correction()) and before.is_tested()
    own = _baseline_of(run, before.path) if is_corrected else None
    other = _baseline_of(run, Path(baseline)) if baseline is not None else own

    name = run.folder.path.resolve().name
    model = load_model(run.checkpoint)
    model.data_config |= run.scores.get("data_config", {})  # of an evaluation's own view
    place = Path(root) if root is not None else run.root
    rows = _headline(run, other)
    correction = None
    if own is not None:
        changes = rows if other is own else _headline(run, own)
        correction = correction_parts(run, own, changes, place)
    page = {
        "title": f"{name}: {run.scores['dataset']}, {run.scores['split']} split",
        "run": run,
        "baseline": other,
        "rows": rows,
        "correction": correction,
        "tiles": _tiles(rows),
        "verdict": _verdict(rows[0]) if other else "",
        "has_attention": model.head.has_attention,
        "uniform": UNIFORM,
        "proposer": model.proposer.settings(),
        "variant": model.variant,
        **_charts(run, other),
        **parts_of(run.task, run, other, model, place),
    }
    report = run.folder.report
    if other is not None and other is not own:
        report = run.folder.report_against(other.folder)
    write_atomically(report, _render(page))
    return report


def _baseline_of(run: RunResults, folder: Path) -> RunResults:
    """Read the baseline's results, its images in the order of the run's."""
    other = RunFolder(folder).read_results()
    place = {path: number for number, path in enumerate(other.paths)}
    is_alike = run.classes == other.classes and run.task.name == other.task.name
    if set(place) != set(run.paths) or not is_alike:
        missing = len(set(run.paths) - set(place))
        raise ConfigError(
            f"baseline={folder} must be of the same images and classes as "
            f"{run.folder.path}; {missing} of {len(run.paths)} images are missing from it; "
            "evaluate both on the same split of the same dataset"
        )
    order = np.array([place[path] for path in run.paths])
    label, probability = other.label[order], other.probability[order]
    return replace(other, paths=run.paths, label=label, probability=probability)


def _headline(run: RunResults, other: RunResults | None) -> list[Headline]:
    """Put intervals around the metrics, the monitor first, and around their differences."""
    own = estimates_of(run.task, run.label, run.probability)
    base = estimates_of(other.task, other.label, other.probability) if other else {}
    strata = strata_of(run.task, run.label)

    rows = []
    for name, title in sorted(TITLES.items(), key=lambda pair: pair[0] != run.monitor):
        if name not in own:
            continue
        if name == "top5" and len(run.classes) <= 5:  # the right one is always among five
            continue
        value = interval(own[name], strata)
        row = Headline(title, value)
        if base:
            difference = paired_difference([own[name]], [base[name]], strata)
            row = Headline(title, value, interval(base[name], strata), difference)
        rows.append(row)
    return rows


def _tiles(rows: list[Headline]) -> list[Headline]:
    """Join metrics with the same number and interval, as of classes with equally many images."""
    joined: dict[tuple[str, ...], Headline] = {}
    for row in rows:
        shown = tuple(f"{100 * end:.1f}" for end in row.value)
        before = joined.get(shown)
        name = f"{before.name}, {row.name[0].lower()}{row.name[1:]}" if before else row.name
        joined[shown] = row._replace(name=name)
    return list(joined.values())


def _verdict(row: Headline) -> str:
    """Say in words how a metric compares with the baseline's."""
    assert row.difference is not None
    points = round(100 * row.difference.value, 1)
    if not points:
        return f"{row.name} is the baseline's, to 0.1 points: {row.difference.verdict}."
    place = "below" if points < 0 else "above"
    return f"{row.name} is {abs(points)} points {place} the baseline's: {row.difference.verdict}."


def _rows_by_class(run: RunResults) -> list[tuple[str, dict[str, Any]]]:
    """Add precision, recall and F1 to the scores of the classes that have images."""
    numbers = list(range(len(run.classes)))
    found = precision_recall_fscore_support(
        run.label, run.predicted, labels=numbers, zero_division=0
    )
    more = {
        name: {"precision": precision, "recall": recall, "f1": f1}
        for name, precision, recall, f1 in zip(run.classes, *found[:3], strict=True)
    }
    return [(name, row | more[name]) for name, row in run.rows_by_class()]


def _confused(run: RunResults) -> list[tuple[str, str, int, int]]:
    """List the commonest confusions: true class, predicted class, count, images of the class."""
    counts = np.array(run.scores["confusion_matrix"])
    wrong = counts - np.diag(counts.diagonal())
    commonest = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    return [
        (run.classes[row], run.classes[column], wrong[row, column], counts[row].sum())
        for row, column in zip(*np.unravel_index(commonest, wrong.shape), strict=True)
        if wrong[row, column]
    ]


def _charts(run: RunResults, other: RunResults | None) -> dict[str, Any]:
    """Draw the charts that every run has, as SVG."""
    views = run.folder.views
    curves = []
    if run.history:
        baseline, tested = other.history if other else (), run.scores.get("best_epoch")
        figures = charts.curve_figures(run.history, baseline, tested)
        curves = [charts.to_svg(figure, title) for title, figure in figures]
    return {
        "views": base64.b64encode(views.read_bytes()).decode() if views.is_file() else "",
        "curves": curves,
        "calibration": charts.to_svg(charts.reliability_diagram(run, other), "Calibration"),
    }


@singledispatch
def parts_of(
    task: Task, run: RunResults, other: RunResults | None, model: AGNet, root: Path
) -> dict[str, Any]:
    """Make the parts of the page that differ by task."""
    raise NotImplementedError


@parts_of.register(MultiLabel)
def _(
    task: Task, run: RunResults, other: RunResults | None, model: AGNet, root: Path
) -> dict[str, Any]:
    return label_parts(run, model, root)


@parts_of.register(SingleLabel)
def _(
    task: Task, run: RunResults, other: RunResults | None, model: AGNet, root: Path
) -> dict[str, Any]:
    confusion = charts.confusion_matrix(run.scores["confusion_matrix"], run.classes)
    return {
        "classes": _rows_by_class(run),
        "confused": _confused(run),
        "confusion": charts.to_svg(confusion, "Confusion matrix"),
        "matrix": charts.place_in_figure(confusion),
        "mistakes": make_cards(run, model, root, confident_mistakes(run)),
        "random": make_cards(run, model, root, random_images(run)),
        "where": where_evidence_lies(run, model, root),
        "groups": accuracy_by_group(run)[:SHOWN_GROUPS],
    }


def _render(page: dict[str, Any]) -> str:
    """Fill in the template, escaping everything but the charts."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["spaced"] = lambda name: name.replace("_", " ")
    place = files("agnet_vision.evaluation").joinpath("template.html")
    return environment.from_string(place.read_text(encoding="utf-8")).render(**page)
