"""The charts of a run, as PNG or as SVG whose ink follows the page, light or dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agnet_vision.evaluation.run_folder import RunResults
from agnet_vision.evaluation.statistics import reliability
from agnet_vision.explain.overlays import class_label
from agnet_vision.files import open_atomically
from agnet_vision.task import MultiLabel, SingleLabel, Task

# Okabe-Ito hues of middle lightness, readable on white and on near-black.
FIRST, SECOND = "#D55E00", "#2b8fce"
CYCLE = ("#D55E00", "#2b8fce", "#009E73", "#CC79A7", "#c99100", "#7f7f7f")
# Black in a PNG; as SVG they become CSS variables of the page.
INK, FAINT = "#010203", "#010204"
MAX_NUMBERED = 12  # classes whose counts fit into the cells of the matrix
MAX_LABELED = 40  # classes whose names fit beside the matrix
CURVES = {
    "Loss": {"train/loss_epoch": "training loss", "val/loss": "validation loss"},
    "Validation": {"val/acc": "validation acc", "val/mAP": "validation mAP"},
}
History = Sequence[dict[str, float]]


def learning_curves(history: History) -> Figure:
    """Draw loss, validation accuracy and mAP over the epochs, side by side."""
    figure, axes = make_figure(8.4, 3.6, 2)
    for place, title in zip(axes, CURVES, strict=True):
        _draw_curves(place, title, history)
    return figure


def curve_figures(
    history: History, baseline: History = (), tested: int | None = None
) -> list[tuple[str, Figure]]:
    """Draw a figure per kind of curve, narrow enough for a phone, the baseline's dashed.

    Args:
        tested: epoch, from 1 on, whose weights were tested.
    """
    figures = []
    for title in CURVES:
        figure, (place,) = make_figure(4.2, 3.4, 1)
        _draw_curves(place, title, history, baseline, tested)
        figures.append((title, figure))
    return figures


def _draw_curves(
    place: Axes, title: str, history: History, baseline: History = (), tested: int | None = None
) -> None:
    """Draw the curves of one kind."""
    for rows, style, suffix in ((history, "-", ""), (baseline, "--", ", baseline")):
        for (key, label), color in zip(CURVES[title].items(), (FIRST, SECOND), strict=True):
            points = [(row["epoch"] + 1, row[key]) for row in rows if key in row]
            if points:
                epochs, values = zip(*points, strict=True)
                looks: dict[str, Any] = {"color": color, "marker": ".", "markersize": 6}
                place.plot(epochs, values, style, label=label + suffix, **looks)

    if place.lines:
        if tested is not None and len(history) > 1:
            place.axvline(tested, color=FAINT, linewidth=1, linestyle=":", label="tested epoch")
        # Below the curves, never over them.
        add_legend(place, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    place.set(title=title, xlabel="epoch")
    place.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def reliability_diagram(run: RunResults, baseline: RunResults | None = None) -> Figure:
    """Draw how often what is said is true; a calibrated network stays on the diagonal."""
    figure, (axes,) = make_figure(4.2, 4.0, 1)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    shown = [(run, "this run", "o-", FIRST)]
    if baseline is not None:
        shown.append((baseline, "baseline", "s--", SECOND))

    for each, name, style, color in shown:
        confidence, accuracy, error = reliability(*each.task.claims(each.label, each.probability))
        looks: dict[str, Any] = {"color": color, "markersize": 4, "clip_on": False}
        axes.plot(confidence, accuracy, style, label=f"{name}: ECE {error:.3f}", **looks)

    axes.set(xlabel="predicted probability", ylabel="how often true", xlim=(0, 1), ylim=(0, 1))
    add_legend(axes)
    return figure


def confusion_matrix(
    counts: Int[np.ndarray, "classes classes"] | Sequence[Sequence[int]], classes: Sequence[str]
) -> Figure:
    """Draw numbers of images by true (row) and predicted class, rows divided by their sum."""
    counts = np.asarray(counts)
    rate = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = max(4.6, 0.2 * len(classes) + 1.6) if len(classes) <= MAX_LABELED else 7.5
    figure, (axes,) = make_figure(side + 0.8, side, 1)
    # The square root lifts rare confusions out of the dark.
    shown = axes.imshow(np.sqrt(rate), cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel="predicted class", ylabel="true class", xticks=[], yticks=[])

    if len(classes) <= MAX_LABELED:
        names = [class_label(name) for name in classes]
        slanted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(names)), names, fontsize=8.5, **slanted)
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
    if len(classes) <= MAX_NUMBERED:
        for (row, column), number in np.ndenumerate(counts):
            ink = "black" if np.sqrt(rate[row, column]) > 0.5 else "white"
            axes.text(column, row, number, ha="center", va="center", color=ink, fontsize=8.5)

    bar = figure.colorbar(shown, ax=axes, shrink=0.6, ticks=np.sqrt([0, 0.05, 0.2, 0.5, 1]))
    bar.ax.set_yticklabels(["0", "5 %", "20 %", "50 %", "100 %"])
    bar.ax.tick_params(colors=INK, labelsize=8.5)
    return figure


def correction_path(told: Mapping[str, Any]) -> Figure:
    """Draw validation accuracy and evidence inside marks over the weights that were tried."""
    steps = [told["before"], *told["path"]]
    names = ["before", *("0" if not row["weight"] else f"{row['weight']:.3g}" for row in steps[1:])]
    chosen = next(n for n, row in enumerate(steps) if n and row["weight"] == told["weight"])
    lines = {
        "Validation accuracy": {"accuracy": "accuracy"},
        "Evidence inside marks": {"evidence_kept_out": "kept out of the fit", "evidence": "fitted"},
    }
    figure, axes = make_figure(8.4, 3.4, 2)
    for place, (title, kinds) in zip(axes, lines.items(), strict=True):
        for (key, label), color in zip(kinds.items(), (FIRST, SECOND), strict=False):
            looks: dict[str, Any] = {"color": color, "marker": ".", "markersize": 6}
            place.plot([row[key] for row in steps], label=label, **looks)
        place.axvline(chosen, color=FAINT, linestyle="--", linewidth=1, label="taken")
        place.set(title=title, xlabel="weight", ylim=(0, None))
        place.set_xticks(range(len(names)), names, fontsize=8.5)
        add_legend(place)
    return figure


def together(
    counts: Int[np.ndarray, "labels labels"] | Sequence[Sequence[int]],
    predicted: Int[np.ndarray, "labels labels"] | Sequence[Sequence[int]],
    classes: Sequence[str],
) -> Figure:
    """Draw how many images of a label (row) have another, in truth and as predicted."""
    side = max(3.6, 0.3 * len(classes) + 1.6) if len(classes) <= MAX_LABELED else 6.0
    figure, axes = make_figure(2 * side + 0.8, side, 2)
    for place, title, found in zip(axes, ("true", "predicted"), (counts, predicted), strict=True):
        found = np.asarray(found)
        rate = found / np.maximum(found.diagonal(), 1)[:, None]
        shown = place.imshow(rate, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
        place.set(title=title, xlabel="have this label, too", xticks=[], yticks=[])
        if len(classes) <= MAX_LABELED:
            names = [class_label(name) for name in classes]
            slanted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
            place.set_xticks(range(len(names)), names, fontsize=8.5, **slanted)
            place.set_yticks(range(len(names)), names, fontsize=8.5)
        if len(classes) <= MAX_NUMBERED:
            for (row, column), number in np.ndenumerate(found):
                ink = "black" if rate[row, column] > 0.5 else "white"
                place.text(column, row, number, ha="center", va="center", color=ink, fontsize=8.5)

    axes[0].set_ylabel("of the images with")
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, format="{x:.0%}")
    bar.ax.tick_params(colors=INK, labelsize=8.5)
    return figure


@singledispatch
def errors_figure(task: Task, scores: Mapping[str, Any], classes: Sequence[str]) -> Figure:
    """Draw which classes are taken for which; of several labels, which come together."""
    raise NotImplementedError


@errors_figure.register(SingleLabel)
def _(task: Task, scores: Mapping[str, Any], classes: Sequence[str]) -> Figure:
    return confusion_matrix(scores["confusion_matrix"], classes)


@errors_figure.register(MultiLabel)
def _(task: Task, scores: Mapping[str, Any], classes: Sequence[str]) -> Figure:
    return together(scores["together"], scores["predicted_together"], classes)


def place_in_figure(figure: Figure) -> tuple[float, float, float, float]:
    """Find left, top, width and height of the first axes as fractions of the figure."""
    figure.draw_without_rendering()  # places the axes
    box = figure.axes[0].get_position()
    return box.x0, 1 - box.y1, box.width, box.height


def save_png(figure: Figure, path: Path, paper: str = "white") -> None:
    """Write a chart on white or another paper, whole or not at all."""
    with open_atomically(path) as file:
        figure.savefig(file, format="png", dpi=120, facecolor=paper)


def to_svg(figure: Figure, title: str) -> str:
    """Write a chart as inline SVG with real text and the page's ink, always the same bytes."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    width, height = figure.get_size_inches() * 72
    # Constrained layout sized the text with matplotlib's font; the page's is narrower.
    fixed = f'width="{width:g}pt" height="{height:g}pt"'
    flexible = f'style="max-width:{width * 1.25:.0f}px"'
    svg = svg.replace(fixed, flexible, 1)
    return svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")


def make_figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    """Make an empty figure of a size in inches, with a row of axes."""
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


def add_legend(axes: Axes, **where: Any) -> None:
    """Add a legend that looks as the charts do."""
    axes.legend(fontsize=9, frameon=False, labelcolor=INK, **where)
