"""The report's charts as SVG whose ink follows the page: light or dark, without a second file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.metrics import precision_recall_curve

from agnet_vision.evaluation.run_folder import Run
from agnet_vision.evaluation.statistics import calibration

# Okabe-Ito hues of middle lightness, readable on white and on near-black.
FIRST, SECOND = "#D55E00", "#2b8fce"
CYCLE = ("#D55E00", "#2b8fce", "#009E73", "#CC79A7", "#c99100", "#7f7f7f")
# Stand-ins that become CSS variables of the page.
INK, FAINT = "#010203", "#010204"
RECALL = np.linspace(0, 1, 101)
MAX_NUMBERED = 12  # classes whose counts fit into the cells of the matrix
MAX_LABELLED = 40  # classes whose names fit beside the matrix


def learning_curves(run: Run, baseline: Run | None) -> str:
    """Draw loss, and accuracy and mAP of the validation split, over the epochs."""
    figure, axes = _figure(8.4, 3.6, 2)
    for other, style in ((run, "-"), (baseline, "--")):
        for place, keys in zip(
            axes, (("train/loss_epoch", "val/loss"), ("val/acc", "val/mAP")), strict=True
        ):
            for key, colour in zip(keys, (FIRST, SECOND), strict=True):
                points = (
                    [(row["epoch"] + 1, row[key]) for row in other.history if key in row]
                    if other
                    else []
                )
                if points:
                    name = (
                        key.removesuffix("_epoch")
                        .replace("train/loss", "training loss")
                        .replace("val/", "validation ")
                    )
                    label = name if style == "-" else f"{name}, baseline"
                    place.plot(
                        *np.transpose(points),
                        style,
                        color=colour,
                        label=label,
                        marker=".",
                        markersize=4,
                    )
    for place, title in zip(axes, ("Loss", "Validation"), strict=True):
        place.set(title=title, xlabel="epoch")
        place.xaxis.set_major_locator(MaxNLocator(integer=True))
        if place.lines:  # below the curves, never over them
            place.legend(
                fontsize=9,
                frameon=False,
                labelcolor=INK,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                ncols=2,
            )
    return _svg(figure, "Learning curves")


def precision_recall(run: Run, baseline: Run | None) -> str:
    """Draw the mean curve over the classes, and single classes: all of a few, else the three worst and the three best."""
    figure, (axes,) = _figure(5.4, 4.0, 1)
    curves = _class_curves(run)
    order = sorted(curves, key=lambda k: curves[k].mean())
    shown = order if len(order) <= 6 else order[:3] + order[-3:]
    for k, colour in zip(shown, CYCLE, strict=False):
        axes.plot(RECALL, curves[k], color=colour, linewidth=1, label=_clip(run.classes[k]))
    axes.plot(
        RECALL,
        np.mean(list(curves.values()), axis=0),
        color=INK,
        linewidth=2.4,
        label="mean over classes",
    )
    if baseline is not None:
        mean = np.mean(list(_class_curves(baseline).values()), axis=0)
        axes.plot(RECALL, mean, "--", color=INK, linewidth=2, label="mean, baseline")
    axes.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.03),
        title="Precision and recall",
    )
    axes.legend(
        fontsize=8.5, frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.01, 1)
    )
    return _svg(figure, "Precision-recall curves")


def reliability(run: Run, baseline: Run | None) -> str:
    """Draw accuracy against confidence; a calibrated network stays on the diagonal."""
    figure, (axes,) = _figure(4.2, 4.0, 1)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for other, name, style, colour in (
        (run, "this run", "o-", FIRST),
        (baseline, "baseline", "s--", SECOND),
    ):
        if other is not None:
            bins = min(15, max(2, len(other.label) // 20))
            found = calibration(
                other.probability.max(axis=1), other.predicted == other.label, bins=bins
            )
            label = f"{name}: ECE {found.error:.3f}"
            axes.plot(
                found.confidence,
                found.accuracy,
                style,
                color=colour,
                markersize=4,
                label=label,
                clip_on=False,
            )
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title="Calibration")
    _legend(axes)
    return _svg(figure, "Calibration")


def histogram(values: Sequence[float], title: str, xlabel: str) -> str:
    """Draw how often which value occurs."""
    figure, (axes,) = _figure(4.2, 2.8, 1)
    whole = all(float(v).is_integer() for v in values) and max(values) <= 20
    bins: int | list[float] = (
        np.arange(-0.5, max(values) + 1.5).tolist() if whole else min(24, max(4, len(values) // 4))
    )
    axes.hist(values, bins=bins, color=SECOND, rwidth=0.9)
    axes.set(title=title, xlabel=xlabel, ylabel="pictures")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, title)


class Confusion(NamedTuple):
    """The confusion matrix drawn, and what the page needs to name the cell under the pointer."""

    svg: str
    order: list[int]
    cells: list[tuple[int, int, int]]
    place: tuple[float, float, float, float]


def confusion_matrix(run: Run) -> Confusion:
    """Draw the matrix with confused classes side by side; names stand beside it while they fit, the pointer reads the rest."""
    count = len(run.classes)
    counts = np.zeros((count, count), dtype=np.int64)
    np.add.at(counts, (run.label, run.predicted), 1)
    order = _similar_first(counts)
    rate = counts[np.ix_(order, order)] / np.maximum(counts[order].sum(axis=1, keepdims=True), 1)
    side = max(4.6, 0.2 * count + 1.6) if count <= MAX_LABELLED else 7.5
    figure, (axes,) = _figure(side + 0.8, side, 1)
    # The square root lifts rare confusions out of the dark.
    drawn = axes.imshow(np.sqrt(rate), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    if count <= MAX_LABELLED:
        names = [_clip(run.classes[k]) for k in order]
        axes.set_xticks(
            range(count), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8.5
        )
        axes.set_yticks(range(count), names, fontsize=8.5)
    else:
        axes.set(xticks=[], yticks=[])
    if count <= MAX_NUMBERED:
        for row, column in np.ndindex(count, count):
            ink = "black" if np.sqrt(rate[row, column]) > 0.5 else "white"
            number = counts[order[row], order[column]]
            axes.text(column, row, number, ha="center", va="center", color=ink, fontsize=8.5)
    axes.set(xlabel="predicted class", ylabel="true class")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, ticks=np.sqrt([0, 0.05, 0.2, 0.5, 1]))
    bar.ax.set_yticklabels(["0", "5 %", "20 %", "50 %", "100 %"])
    bar.ax.tick_params(colors=INK, labelsize=8.5)
    svg = _svg(figure, "Confusion matrix")
    box = axes.get_position()
    rows, columns = np.nonzero(counts)
    cells = [(int(r), int(c), int(counts[r, c])) for r, c in zip(rows, columns, strict=True)]
    return Confusion(
        svg, [int(k) for k in order], cells, (box.x0, 1 - box.y1, box.width, box.height)
    )


def _similar_first(counts: Int[np.ndarray, "classes classes"]) -> Int[np.ndarray, " classes"]:
    """Order classes so that those taken for each other stand together; few classes keep their order."""
    if len(counts) <= 12:
        return np.arange(len(counts))
    rate = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distance = 1 - (rate + rate.T) / 2
    return leaves_list(linkage(distance[np.triu_indices(len(counts), 1)], "average"))


def _class_curves(run: Run) -> dict[int, Float[np.ndarray, " recall"]]:
    """Sample each class's curve at fixed recalls: the best precision with at least that recall."""
    curves = {}
    for k in np.unique(run.label):
        precision, recall, _ = precision_recall_curve(run.label == k, run.probability[:, k])
        reached = (
            np.searchsorted(-recall, -RECALL, side="right") - 1
        )  # recall falls: the last point that has as much
        curves[int(k)] = np.maximum.accumulate(precision)[reached]
    return curves


def _figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for place in axes:
        place.patch.set_alpha(0)
        place.tick_params(colors=INK, labelsize=9)
        place.spines[["top", "right"]].set_visible(False)
        for spine in place.spines.values():
            spine.set_color(FAINT)
        for text in (place.title, place.xaxis.label, place.yaxis.label):
            text.set_color(INK)
    return figure, axes


def _legend(axes: Axes) -> None:
    if axes.lines:
        axes.legend(fontsize=9, frameon=False, labelcolor=INK)


def _svg(figure: Figure, title: str) -> str:
    """Write the figure as inline SVG: real text, the page's ink, no fixed size, the same bytes for the same figure."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    width, height = figure.get_size_inches() * 72
    # Constrained layout sized the text with matplotlib's font; the page's is narrower.
    svg = svg.replace(
        f'width="{width:g}pt" height="{height:g}pt"', f'style="max-width:{width * 1.25:.0f}px"', 1
    )
    return svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")


def _clip(name: str, length: int = 24) -> str:
    name = name.replace("_", " ")
    return name if len(name) <= length else f"{name[: length - 1]}…"
