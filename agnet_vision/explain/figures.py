"""Explanations drawn, all panels together or panel by panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from agnet_vision.explain.explanation import Explanation
from agnet_vision.explain.overlays import (
    SATURATION,
    THEMES,
    Theme,
    ThemeName,
    class_label,
    draw_image,
    label_regions,
    outline_box,
    outline_region,
    paint_attention,
    paint_evidence,
    region_color,
)

Panel = Literal["heat", "keypoints", "evidence", "regions", "attention", "pairwise"]
PANELS: tuple[Panel, ...] = get_args(Panel)
ON_IMAGE: tuple[Panel, ...] = ("heat", "keypoints", "regions", "attention")
UNIFORM = "Attention is uniform, as is usual; what counts is the evidence."
FIGURE_DPI = 130

# A second cue beside the color, and it tells groups 9 and on from 1 and on.
GROUP_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHOWN_REGIONS = 6  # labeled boxes; more would cover the image
SHOWN_BARS = 10


def explanation_figure(explanation: Explanation, *, theme: ThemeName = "light") -> Figure:
    """Draw the panels, the evidence large and first, with the most probable classes above."""
    colors = THEMES[theme]
    height, width = explanation.image.shape[:2]
    image = 3.7 * min(max(height / width, 0.5), 1.4)  # inches high, of 3.7 wide
    panels, rows = panels_of(explanation), [image + 0.9] * 2
    if len(panels) > 3:
        rows.append(max(image, 3.7) + 0.9)
    figure = Figure(figsize=(13.6, sum(rows) + 0.6), facecolor=colors.paper)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)

    grid = figure.add_gridspec(len(rows), 3, height_ratios=rows)
    places = [grid[:2, :2], grid[0, 2], grid[1, 2]]
    places += [grid[2, column] for column in range(len(panels) - 3)]
    for place, panel in zip(places, panels, strict=True):
        axes = figure.add_subplot(place)
        draw_panel(explanation, axes, panel, colors)
        axes.set_anchor("N")
    if remark := attention_remark(explanation):
        figure.supxlabel(remark, color=colors.faint, fontsize=11)

    best = np.argsort(-explanation.probabilities)[:3]
    ranking = "    ".join(
        f"{class_label(explanation.classes[k], 28)} {explanation.probabilities[k]:.1%}"
        for k in best
    )
    figure.suptitle(ranking, color=colors.ink, fontsize=15, fontweight="bold")
    return figure


def panels_of(explanation: Explanation) -> tuple[Panel, ...]:
    """List what there is to draw: of a network without regions none about them."""
    return PANELS if explanation.num_primary else PANELS[:3]


def attention_remark(explanation: Explanation) -> str:
    """Say that the attention is uniform, where it is."""
    is_uniform = explanation.has_attention and not explanation.separates_regions()
    return UNIFORM if is_uniform else ""


def panel_figure(explanation: Explanation, panel: Panel, *, theme: ThemeName = "light") -> Figure:
    """Draw one panel, large enough for a phone."""
    height, width = explanation.image.shape[:2]
    inches = 0.8 + 4.4 * min(height / width, 1.4) if panel in ON_IMAGE else 4.0
    figure = Figure(figsize=(4.4, inches), layout="constrained", facecolor=THEMES[theme].paper)
    draw_panel(explanation, figure.subplots(), panel, THEMES[theme])
    return figure


def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG, SVG or PDF, as the suffix says, into a folder that is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=FIGURE_DPI)
    return path


def draw_panel(explanation: Explanation, axes: Axes, panel: Panel, theme: Theme) -> None:
    """Draw one panel and give it the theme."""
    draw: Mapping[Panel, Callable[[Explanation, Axes, Theme], None]] = {
        "keypoints": _keypoints,
        "regions": _regions,
        "attention": _attention,
        "heat": _heat,
        "evidence": _evidence,
        "pairwise": _pairwise,
    }
    axes.set_facecolor(theme.paper)
    draw[panel](explanation, axes, theme)

    axes.title.set(color=theme.ink, fontsize=12, horizontalalignment="left", x=0)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    axes.tick_params(colors=theme.ink, labelsize=10)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _keypoints(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show points and primary regions, with a color and a marker per group."""
    draw_image(axes, explanation.image, explanation.frame)
    slots = np.flatnonzero(explanation.mask[: explanation.num_primary]).tolist()
    for slot in slots:
        x, y = explanation.keypoints.xy[explanation.slot == slot].T
        marker = GROUP_MARKERS[slot % len(GROUP_MARKERS)]
        color = region_color(explanation, slot)
        axes.scatter(x, y, s=20, c=color, marker=marker, edgecolors="black", linewidths=0.6)
        outline_region(explanation, axes, slot)
    label_regions(explanation, axes, {slot: str(slot + 1) for slot in slots})
    axes.set_title(_keypoints_title(explanation, len(slots)))


def _keypoints_title(explanation: Explanation, groups: int) -> str:
    """Count points and groups, or say why there are none."""
    if not explanation.num_primary:
        return "No regions: this network sees the whole image"

    points = len(explanation.keypoints.xy)
    if groups and not points:
        return f"{groups} boxes, not from keypoints"
    return f"{points} keypoints in {groups} groups"


def _regions(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the most important regions, or the primary ones where none is preferred."""
    draw_image(axes, explanation.image, explanation.frame)
    separates = explanation.separates_regions()
    regions = explanation.regions_by_importance()
    shown = regions[:SHOWN_REGIONS]
    if not separates:
        shown = sorted(region for region in regions if region < explanation.num_primary)

    for region in sorted(set(regions) - set(shown)):
        outline_box(axes, explanation.boxes[region], "white", linewidth=0.3)

    labels = {}
    for region in shown:
        outline_region(explanation, axes, region)
        share = f": {explanation.importance[region]:.1%}" if separates else ""
        labels[region] = explanation.region_name(region) + share
    label_regions(explanation, axes, labels)

    if not regions:
        axes.set_title("No region but the whole image")
    elif separates:
        axes.set_title("Regions by importance (dashed: pairs)")
    else:
        axes.set_title("Regions")


def _attention(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the importance as a multiple of the uniform."""
    draw_image(axes, explanation.image, explanation.frame, gray=True)
    ends = [f"1/{SATURATION} or less", "uniform", f"{SATURATION} times or more"]
    _scale(axes, paint_attention(explanation, axes, theme), ends, theme)

    if not explanation.has_attention:
        axes.set_title("No attention")
    elif not explanation.separates_regions():
        axes.set_title("Attention, uniform")
    else:
        times = explanation.times_uniform()
        spread = f"{times.min():.2f} to {times.max():.2f} times"
        axes.set_title(f"Importance over uniform 1/R: {spread}")


def _heat(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the evidence for the explained class over the image."""
    draw_image(axes, explanation.image, explanation.frame, gray=True)
    painted, most = paint_evidence(explanation, axes, theme)
    ends = [f"against: {-most:.2g}", "0 per 1 % of the frame", f"for: {most:+.2g}"]
    _scale(axes, painted, ends, theme)
    axes.set_title(f"Evidence for {_target(explanation)}")


def _scale(axes: Axes, painted: AxesImage, ends: list[str], theme: Theme) -> None:
    """Draw the scale of what was painted below the image."""
    place = axes.inset_axes((0.12, -0.07, 0.76, 0.03))
    place.set_facecolor("#999999")
    bar = axes.figure.colorbar(painted, cax=place, orientation="horizontal")
    place.tick_params(colors=theme.ink, labelsize=8.5)
    bar.set_ticks([-1, 0, 1], labels=ends)


def _evidence(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Draw bars that add up to the logit: the strongest regions, all others, and the bias."""
    evidence = explanation.evidence[:, explanation.target]
    order = np.argsort(-np.abs(evidence), kind="stable")
    order = order[explanation.mask[order]]
    first, rest = order[:SHOWN_BARS], order[SHOWN_BARS:]
    rows = [(explanation.region_name(r), float(evidence[r])) for r in first]
    if len(rest):
        rows.append((f"other {len(rest)}", float(evidence[rest].sum())))
    rows.append(("bias", float(explanation.bias[explanation.target])))

    names, values = zip(*rows, strict=True)
    colors = [theme.supports if value >= 0 else theme.opposes for value in values]
    axes.barh(names, values, color=colors)
    for row, value in enumerate(values):
        # Right of zero also where the bar is not: left of it are the names of the regions.
        axes.annotate(
            f"{value:+.2g}",
            (max(value, 0), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=theme.ink,
            fontsize=9.5,
        )

    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    logit = explanation.logits[explanation.target]
    title = f"{_target(explanation)}: exact parts of logit {logit:.3g}"
    axes.set(title=title, ylabel="region")


def _pairwise(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show how much each region takes from each; lines part groups, pairs and the whole image."""
    if not explanation.has_attention:
        words = "this network has\nno pairwise attention"
        axes.text(0.5, 0.5, words, ha="center", color=theme.ink, fontsize=12)
        axes.set(xticks=[], yticks=[], title="Pairwise attention")
        return

    valid = np.flatnonzero(explanation.mask)
    matrix = explanation.pairwise[np.ix_(valid, valid)]
    painted = axes.imshow(matrix, cmap="cividis", interpolation="nearest")
    bar = axes.figure.colorbar(painted, ax=axes, fraction=0.046)
    bar.ax.tick_params(colors=theme.ink, labelsize=9)

    primary = int((valid < explanation.num_primary).sum())
    pairs = len(valid) - primary - 1
    marks = {len(valid) - 1.0: "whole"}
    if primary:
        marks[(primary - 1) / 2] = f"1–{primary}"
    if pairs:
        marks[primary + (pairs - 1) / 2] = "pairs"
    axes.set_xticks(list(marks), marks.values())
    axes.set_yticks(list(marks), marks.values())
    for line in (primary - 0.5, len(valid) - 1.5):
        axes.axhline(line, color="white", linewidth=0.8)
        axes.axvline(line, color="white", linewidth=0.8)
    axes.set(xlabel="takes from region", ylabel="region", title="Pairwise attention")


def _target(explanation: Explanation) -> str:
    """Name the explained class, short enough for a title."""
    return class_label(explanation.classes[explanation.target], 20)
