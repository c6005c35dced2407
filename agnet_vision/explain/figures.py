"""Explanations drawn: six panels in a figure, or each panel alone. Okabe and Ito's colours suit every kind of colour vision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from agnet_vision.explain.explanation import Explanation
from agnet_vision.explain.overlays import (
    THEMES,
    Theme,
    clip,
    draw_attention,
    draw_heat,
    draw_photograph,
    title_of,
)

Panel = Literal["keypoints", "regions", "attention", "heat", "evidence", "pairwise"]
PANELS: tuple[Panel, ...] = get_args(Panel)
PHOTOGRAPHS: tuple[Panel, ...] = ("keypoints", "regions", "attention", "heat")

# Okabe-Ito, ordered so that neighbours differ in lightness; black is replaced by white, which shows on photographs.
GROUP_COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#CC79A7",
    "#0072B2",
    "#D55E00",
    "#FFFFFF",
)
GROUP_MARKERS = (
    "o",
    "s",
    "^",
    "D",
    "v",
    "P",
    "X",
    "*",
)  # a second cue, and it tells groups 9 and on from 1 and on
DARK_COLOURS = ("#009E73", "#0072B2", "#D55E00")  # they take white letters
SHOWN_REGIONS = 6  # labelled boxes; more would cover the photograph
SHOWN_BARS = 10


def explanation_figure(told: Explanation, *, theme: Literal["light", "dark"] = "light") -> Figure:
    """Draw all panels, with the class and its probability above."""
    colours = THEMES[theme]
    photograph = 3.7 * min(
        max(told.image.shape[0] / told.image.shape[1], 0.5), 1.4
    )  # inches high, of 3.7 wide
    rows = (photograph + 0.9, max(photograph, 3.7) + 0.9)
    figure = Figure(figsize=(13.6, sum(rows) + 0.6), layout="constrained", facecolor=colours.paper)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    for axes, panel in zip(figure.subplots(2, 3, height_ratios=rows).flat, PANELS, strict=True):
        _draw(told, axes, panel, colours)
        axes.set_anchor("N")
    best = np.argsort(-told.probabilities)[:3]
    ranking = "    ".join(
        f"{clip(told.classes[k].replace('_', ' '), 28)} {told.probabilities[k]:.1%}" for k in best
    )
    figure.suptitle(ranking, color=colours.ink, fontsize=15, fontweight="bold")
    return figure


def panel_figure(
    told: Explanation, panel: Panel, *, theme: Literal["light", "dark"] = "light"
) -> Figure:
    """Draw one panel, large enough to be read on a phone."""
    height = (
        0.8 + 4.4 * min(told.image.shape[0] / told.image.shape[1], 1.4)
        if panel in PHOTOGRAPHS
        else 4.0
    )
    figure = Figure(figsize=(4.4, height), layout="constrained", facecolor=THEMES[theme].paper)
    _draw(told, figure.subplots(), panel, THEMES[theme])
    return figure


def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write PNG, SVG or PDF, as the suffix says; the same figure gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(
        path.suffix.lower(), {}
    )
    figure.savefig(path, dpi=130, metadata=metadata, facecolor=figure.get_facecolor())
    return path


def _draw(told: Explanation, axes: Axes, panel: Panel, theme: Theme) -> None:
    """Draw one panel and give it the theme."""
    draw: dict[Panel, Callable[[Explanation, Axes, Theme], None]] = {
        "keypoints": _keypoints,
        "regions": _regions,
        "attention": draw_attention,
        "heat": draw_heat,
        "evidence": _evidence,
        "pairwise": _pairwise,
    }
    axes.set_facecolor(theme.paper)
    draw[panel](told, axes, theme)
    axes.title.set(color=theme.ink, fontsize=12, horizontalalignment="left", x=0)
    axes.tick_params(colors=theme.ink, labelsize=10)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _keypoints(told: Explanation, axes: Axes, theme: Theme) -> None:
    draw_photograph(told, axes)
    slots = np.flatnonzero(told.mask[: told.num_primary]).tolist()
    for slot in slots:
        points = told.keypoints.xy[told.slot == slot]
        colour, marker = GROUP_COLOURS[slot % 8], GROUP_MARKERS[slot % 8]
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=20,
            c=colour,
            marker=marker,
            edgecolors="black",
            linewidths=0.6,
        )
        _outline(told, axes, slot, colour)
    _label(told, axes, [(slot, GROUP_COLOURS[slot % 8], str(slot + 1)) for slot in slots])
    axes.set_title(
        f"{len(told.keypoints.xy)} keypoints in {len(slots)} groups{_why_fewer(told, len(slots))}"
    )


def _why_fewer(told: Explanation, groups: int) -> str:
    """Say why a group of the network's has no box here, where that is known."""
    if groups >= told.num_primary:
        return ""
    if len(told.keypoints.xy) <= told.num_primary:
        return f", too few for {told.num_primary}"
    outside = int((told.slot < 0).sum())
    return f" ({outside} points lie outside)" if outside else ""


def _regions(told: Explanation, axes: Axes, theme: Theme) -> None:
    draw_photograph(told, axes)
    order = np.argsort(-told.importance, kind="stable")
    order = order[told.mask[order] & (order < len(told.mask) - 1)]  # the whole image needs no box
    for region in order[SHOWN_REGIONS:]:
        (x0, y0, x1, y1) = told.boxes[region]
        axes.add_patch(
            Rectangle(
                (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="white", linewidth=0.5, alpha=0.45
            )
        )
    labels = []
    for region in order[:SHOWN_REGIONS].tolist():
        primary = region < told.num_primary
        colour = GROUP_COLOURS[region % 8] if primary else "#FFFFFF"
        _outline(told, axes, region, colour, dashed=not primary)
        labels.append(
            (region, colour, f"{told.region_name(region)}: {told.importance[region]:.1%}")
        )
    _label(told, axes, labels)
    axes.set_title(
        "Regions by importance (dashed: pairs)" if told.has_attention else "Regions, all alike"
    )


def _outline(
    told: Explanation, axes: Axes, region: int, colour: str, *, dashed: bool = False
) -> None:
    """Outline a region on the photograph; the dark rim keeps it visible on any ground."""
    x0, y0, x1, y1 = told.boxes[region]
    style = (0, (4, 2)) if dashed else "-"
    box = Rectangle(
        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.8, linestyle=style
    )
    box.set_path_effects([patheffects.withStroke(linewidth=3.4, foreground="black", alpha=0.7)])
    axes.add_patch(box)


def _label(told: Explanation, axes: Axes, labels: list[tuple[int, str, str]]) -> None:
    """Write each label into a corner of its box where no other label stands yet, else the nearest free place."""
    height, width = told.image.shape[:2]
    taken: list[tuple[float, float, float, float]] = []
    for region, colour, text in labels:
        label_width, label_height = (
            width * (0.02 + 0.026 * len(text)),
            max(height, 0.6 * width) * 0.075,
        )
        x0, y0, x1, y1 = told.boxes[region]
        middle = ((x0 + x1 - label_width) / 2, (y0 + y1 - label_height) / 2)
        right, bottom = x1 - label_width, y1 - label_height
        spots = (
            (x0, y0),
            (right, bottom),
            (right, y0),
            (x0, bottom),
            (x0, middle[1]),
            (middle[0], y0),
            middle,
        )
        columns, rows = (
            np.linspace(0, width - label_width, 25),
            np.linspace(0, height - label_height, 25),
        )
        places = [(float(x), float(y)) for x in columns for y in rows]
        places.sort(key=lambda place: (place[0] - middle[0]) ** 2 + (place[1] - middle[1]) ** 2)
        for x, y in (*spots, *places):
            left, top = np.clip(x, 0, width - label_width), np.clip(y, 0, height - label_height)
            if all(
                left + label_width <= a or left >= c or top + label_height <= b or top >= d
                for a, b, c, d in taken
            ):
                taken.append((left, top, left + label_width, top + label_height))
                box = {"facecolor": colour, "edgecolor": "black", "linewidth": 0.6, "pad": 1.2}
                ink = "white" if colour in DARK_COLOURS else "black"
                axes.text(
                    left + label_width / 2,
                    top + label_height / 2,
                    text,
                    color=ink,
                    fontsize=9,
                    fontweight="bold",
                    ha="center",
                    va="center",
                    bbox=box,
                )
                break


def _evidence(told: Explanation, axes: Axes, theme: Theme) -> None:
    """Bars that add up to the logit: the strongest regions, all others together, the bias."""
    evidence = told.evidence[:, told.target]
    order = np.argsort(-np.abs(evidence), kind="stable")
    order = order[told.mask[order]]
    first, rest = order[:SHOWN_BARS], order[SHOWN_BARS:]
    rows = [(told.region_name(r), float(evidence[r])) for r in first]
    if len(rest):
        rows.append((f"other {len(rest)}", float(evidence[rest].sum())))
    rows.append(("bias", float(told.bias[told.target])))
    names, values = zip(*rows, strict=True)
    digits = _digits(max(map(abs, values)))
    bars = axes.barh(
        names, values, color=[theme.supports if v >= 0 else theme.opposes for v in values]
    )
    axes.bar_label(bars, fmt=f"%+.{digits}f", padding=3, color=theme.ink, fontsize=9.5)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{title_of(told)}: exact parts of logit {told.logits[told.target]:.{digits}f}")
    axes.set_ylabel("region", color=theme.ink)


def _digits(largest: float) -> int:
    """Count the decimals that show two significant digits of the largest part."""
    return int(np.clip(1 - np.floor(np.log10(largest)), 2, 8)) if largest > 0 else 2


def _pairwise(told: Explanation, axes: Axes, theme: Theme) -> None:
    if not told.has_attention:
        axes.text(
            0.5,
            0.5,
            f"{told.variant}\nhas no pairwise attention",
            ha="center",
            color=theme.ink,
            fontsize=12,
        )
        axes.set(xticks=[], yticks=[], title="Pairwise attention")
        return
    valid = np.flatnonzero(told.mask)
    image = axes.imshow(
        told.pairwise[np.ix_(valid, valid)], cmap="cividis", interpolation="nearest"
    )
    primary = int((valid < told.num_primary).sum())
    pairs = len(valid) - primary - 1
    bands = [
        (f"1–{primary}", primary, (primary - 1) / 2),
        ("pairs", pairs, primary + (pairs - 1) / 2),
    ]
    marks = [(name, place) for name, count, place in bands if count] + [("whole", len(valid) - 1)]
    names, places = zip(*marks, strict=True)
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    for line in (primary - 0.5, len(valid) - 1.5):
        axes.axhline(line, color="white", linewidth=0.8)
        axes.axvline(line, color="white", linewidth=0.8)
    axes.set(xlabel="takes from region", ylabel="region", title="Pairwise attention")
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.046)
    bar.ax.tick_params(colors=theme.ink, labelsize=9)
