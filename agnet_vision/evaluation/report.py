"""Everything that was measured about a run, in one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool
from jinja2 import Environment, StrictUndefined

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation import charts
from agnet_vision.evaluation.run_folder import RunFolder, RunResults
from agnet_vision.evaluation.statistics import (
    METRICS,
    Interval,
    estimates,
    interval,
    mcnemar,
    paired_difference,
)
from agnet_vision.evaluation.thumbnails import (
    Thumbnail,
    confident_mistakes,
    jpeg_address,
    make_cards,
    random_images,
    region_statistics,
)
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import load_model

TITLES = {
    "acc": "Accuracy",
    "mean_per_class_acc": "Mean per-class accuracy",
    "mAP": "mAP",
    "top5": "Top-5 accuracy",
}
SHOWN_CONFUSIONS = 15


class Headline(NamedTuple):
    """A metric and, given a baseline, its value and difference."""

    name: str
    value: Interval
    baseline: Interval | None = None
    difference: Interval | None = None


class ClassRow(NamedTuple):
    """A class in the list of bars."""

    name: str
    images: int
    ap: float
    acc: float
    baseline_ap: float | None


def write_report(
    run_dir: Path | str, *, baseline: Path | str | None = None, root: Path | str | None = None
) -> Path:
    """Write ``report.html``, whole and offline, into a run folder.

    Args:
        run_dir: folder of a training whose test is done, or of an evaluation.
        baseline: folder of another run on the same images, to be set beside it.
        root: root of the dataset; by default where the run says it was.

    Returns:
        Path of the file.

    Raises:
        ConfigError: a folder holds no finished run, its files contradict each other, or the two
            runs saw different images.
        CheckpointError: the run's weights cannot be loaded.
        ImageReadError: an image is not where it was.
    """
    run = RunFolder(run_dir).read_results()
    other = None
    if baseline is not None:
        other = _same_images(run, RunFolder(baseline).read_results())

    name = run.folder.path.resolve().name
    page = {
        "title": f"{name}: {run.scores['dataset']}, {run.scores['split']} split",
        "run": run,
        "baseline": other,
        "rows": _headline(run, other),
        "paired": mcnemar(_hits(run), _hits(other)) if other else None,
        "classes": _classes(run, other),
        "confused": _confused(run),
        **_charts(run, other),
        **_images(run, Path(root) if root is not None else run.root),
    }
    write_atomically(run.folder.report, _render(page))
    return run.folder.report


def _same_images(run: RunResults, other: RunResults) -> RunResults:
    """Bring the baseline's images into the order of the run's."""
    place = {path: number for number, path in enumerate(other.paths)}
    if set(place) != set(run.paths) or run.classes != other.classes:
        missing = len(set(run.paths) - set(place))
        raise ConfigError(
            f"baseline={other.folder.path} must be of the same images and classes as "
            f"{run.folder.path}; {missing} of {len(run.paths)} images are missing from it; "
            "evaluate both on the same split of the same dataset"
        )
    order = np.array([place[path] for path in run.paths])
    label, probability = other.label[order], other.probability[order]
    return replace(other, paths=run.paths, label=label, probability=probability)


def _headline(run: RunResults, other: RunResults | None) -> list[Headline]:
    """Put intervals around the metrics and around their differences to the baseline."""
    own = estimates(run.label, run.probability)
    # Of five classes the right one is always among the first five.
    names = [name for name in METRICS if name != "top5" or len(run.classes) > 5]
    rows = [Headline(TITLES[name], interval(own[name], run.label)) for name in names]
    if other is None:
        return rows

    base = estimates(other.label, other.probability)
    return [
        row._replace(
            baseline=interval(base[name], run.label),
            difference=paired_difference([own[name]], [base[name]], run.label),
        )
        for row, name in zip(rows, names, strict=True)
    ]


def _hits(run: RunResults) -> Bool[np.ndarray, " images"]:
    return run.predicted == run.label


def _classes(run: RunResults, other: RunResults | None) -> list[ClassRow]:
    """List the classes of the split, worst AP first."""
    base = other.scores["per_class"] if other else {}
    rows = [
        ClassRow(name, row["num_images"], row["ap"], row["acc"], base[name]["ap"] if base else None)
        for name, row in run.scores["per_class"].items()
        if row["num_images"]
    ]
    return sorted(rows, key=lambda row: row.ap)


def _confused(run: RunResults) -> list[tuple[str, str, int, int]]:
    """List the commonest confusions: true class, predicted class, count, images of the class."""
    wrong = run.predicted != run.label
    pairs, counts = np.unique(
        np.stack([run.label[wrong], run.predicted[wrong]]), axis=1, return_counts=True
    )
    commonest = np.argsort(-counts, kind="stable")[:SHOWN_CONFUSIONS]
    return [
        (
            run.classes[pairs[0, k]],
            run.classes[pairs[1, k]],
            int(counts[k]),
            int((run.label == pairs[0, k]).sum()),
        )
        for k in commonest
    ]


def _charts(run: RunResults, other: RunResults | None) -> dict[str, Any]:
    """Draw the charts as SVG."""
    confusion = charts.confusion_matrix(run.scores["confusion_matrix"], run.classes)
    curves = ""
    if run.history:
        figure = charts.learning_curves(run.history, other.history if other else ())
        curves = charts.to_svg(figure, "Learning curves")
    return {
        "views": jpeg_address(run.folder.views) if run.folder.views.is_file() else "",
        "curves": curves,
        "pr": charts.to_svg(charts.precision_recall(run, other), "Precision-recall curves"),
        "calibration": charts.to_svg(charts.reliability_diagram(run, other), "Calibration"),
        "confusion": confusion,
        "confusion_svg": charts.to_svg(confusion.figure, "Confusion matrix"),
    }


def _images(run: RunResults, root: Path) -> dict[str, Any]:
    """Explain images and count regions."""
    model = load_model(run.checkpoint)
    mistakes = make_cards(run, model, root, confident_mistakes(run))
    random = make_cards(run, model, root, random_images(run))

    regions = region_statistics(model, root, run.paths)
    drawn = {}
    if regions is not None:
        for name, values in (("keypoints", regions.points), ("groups", regions.groups)):
            title = f"{name.capitalize()} per image"
            drawn[name] = charts.to_svg(charts.histogram(values, title, name), title)

    return {
        "mistakes": mistakes,
        "random": random,
        "attention": _attention_words(model.head.has_attention, [*mistakes, *random]),
        "regions": regions,
        "region_charts": drawn,
        "proposer": model.proposer.settings(),
        "variant": model.variant,
    }


def _attention_words(has_attention: bool, cards: Sequence[Thumbnail]) -> str:
    """Say what the outlined boxes mean, or why none are."""
    separated = sum(card.separated for card in cards)
    if not has_attention:
        return "This network has no attention: all regions count alike, so none is outlined."

    if not separated:
        return (
            "The attention has not separated the regions: in every image shown their importances "
            "lie within 1 % of the uniform, so none is outlined."
        )

    words = "Boxes: the three most important regions (dashed white: pairs of groups)."
    if separated < len(cards):
        words += (
            f" In {len(cards) - separated} of {len(cards)} images shown the attention has not "
            "separated the regions (importances within 1 % of the uniform): no box there."
        )
    return words


def _render(page: dict[str, Any]) -> str:
    """Fill in the template, escaping everything but the charts."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["spaced"] = lambda name: name.replace("_", " ")
    place = files("agnet_vision.evaluation").joinpath("template.html")
    return environment.from_string(place.read_text(encoding="utf-8")).render(**page)
