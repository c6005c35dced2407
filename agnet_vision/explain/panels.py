"""The panels of an explanation, each on its own axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from agnet_vision.explain.explanation import Explanation
from agnet_vision.explain.overlays import (
    SATURATION,
    Theme,
    class_label,
    draw_image,
    outline_region,
    paint_attention,
    paint_evidence,
    region_color,
)
from agnet_vision.explain.placement import place_labels

Panel = Literal["keypoints", "regions", "attention", "heat", "evidence", "pairwise"]
PANELS: tuple[Panel, ...] = get_args(Panel)
ON_IMAGE: tuple[Panel, ...] = ("keypoints", "regions", "attention", "heat")

# A second cue beside the color, and it tells groups 9 and on from 1 and on.
GROUP_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DARK_COLORS = ("#009E73", "#0072B2", "#D55E00")  # they take white letters
SHOWN_REGIONS = 6  # labeled boxes; more would cover the image
SHOWN_BARS = 10
FAINT_RATIO = 1.3  # largest over smallest importance below which the colors do not show it


def draw_panel(explanation: Explanation, axes: Axes, panel: Panel, theme: Theme) -> None:
    """Draw one panel and give it the theme."""
    draw: dict[Panel, Callable[[Explanation, Axes, Theme], None]] = {
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
    axes.tick_params(colors=theme.ink, labelsize=10)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _keypoints(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show points and primary regions, a color and marker each."""
    draw_image(explanation, axes)
    slots = np.flatnonzero(explanation.mask[: explanation.num_primary]).tolist()
    for slot in slots:
        x, y = explanation.keypoints.xy[explanation.slot == slot].T
        marker = GROUP_MARKERS[slot % len(GROUP_MARKERS)]
        color = region_color(explanation, slot)
        axes.scatter(x, y, s=20, c=color, marker=marker, edgecolors="black", linewidths=0.6)
        outline_region(explanation, axes, slot)
    _label(explanation, axes, {slot: str(slot + 1) for slot in slots})
    axes.set_title(_keypoints_title(explanation, len(slots)))


def _keypoints_title(explanation: Explanation, groups: int) -> str:
    """Count points and groups, and say why there are few."""
    if not explanation.num_primary:
        return "No regions: this network sees the whole image"
    if not explanation.has_keypoints:
        return f"{groups} boxes, not from keypoints"
    points = len(explanation.keypoints.xy)
    title = f"{points} keypoints in {groups} groups"
    if groups < explanation.num_primary:
        outside = int((explanation.slot < 0).sum())
        if points <= explanation.num_primary:
            title += f", too few for {explanation.num_primary}"
        elif outside:
            title += f" ({outside} points lie outside)"
    return title


def _regions(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the most important regions, or the primary ones."""
    draw_image(explanation, axes)
    separates = explanation.separates_regions()
    regions = explanation.regions_by_importance()
    shown = regions[:SHOWN_REGIONS]
    if not separates:
        shown = sorted(region for region in regions if region < explanation.num_primary)
    for region in sorted(set(regions) - set(shown)):
        x0, y0, x1, y1 = explanation.boxes[region]
        box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False)
        box.set(edgecolor="white", linewidth=0.5, alpha=0.45)
        axes.add_patch(box)
    labels = {}
    for region in shown:
        outline_region(explanation, axes, region)
        share = f": {explanation.importance[region]:.1%}" if separates else ""
        labels[region] = explanation.region_name(region) + share
    _label(explanation, axes, labels)
    if not regions:
        axes.set_title("No region but the whole image")
    else:
        ranked = "Regions by importance (dashed: pairs)"
        axes.set_title(ranked if separates else "Regions, all alike")


def _label(explanation: Explanation, axes: Axes, labels: dict[int, str]) -> None:
    """Write a label into each box, none over another."""
    places = place_labels(
        explanation.image.shape[:2],
        [explanation.boxes[region] for region in labels],
        labels.values(),
    )
    for (region, text), place in zip(labels.items(), places, strict=True):
        if place is None:
            continue
        color = region_color(explanation, region)
        axes.text(
            *place,
            text,
            color="white" if color in DARK_COLORS else "black",
            fontsize=9,
            fontweight="bold",
            ha="center",
            va="center",
            bbox={"facecolor": color, "edgecolor": "black", "linewidth": 0.6, "pad": 1.2},
        )


def _attention(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the importance as a multiple of the uniform."""
    draw_image(explanation, axes, gray=True)
    ends = [f"1/{SATURATION} or less", "uniform", f"{SATURATION} times or more"]
    _scale(axes, paint_attention(explanation, axes, theme), ends, theme)
    if not explanation.has_attention:
        axes.set_title("No attention: regions all alike")
    elif not explanation.separates_regions():
        axes.set_title("Attention separates no regions (within 1 %)")
    else:
        times = explanation.times_uniform()
        faint = times.max() / times.min() < FAINT_RATIO
        spread = f", {times.min():.2f} to {times.max():.2f} times" if faint else ""
        axes.set_title(f"Importance over uniform 1/R{spread}")


def _heat(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show the evidence for the explained class over the image."""
    draw_image(explanation, axes, gray=True)
    painted, most = paint_evidence(explanation, axes, theme)
    _scale(axes, painted, [f"{-most:.2g}", "0, per 1 % of the frame", f"{most:+.2g}"], theme)
    axes.set_title(f"{_target(explanation)}: for (warm), against (cold)")


def _scale(axes: Axes, painted: AxesImage, ends: list[str], theme: Theme) -> None:
    """Draw the scale of what was painted below the image."""
    place = axes.inset_axes((0.12, -0.07, 0.76, 0.03))
    place.set_facecolor("#999999")
    bar = axes.figure.colorbar(painted, cax=place, orientation="horizontal")
    place.tick_params(colors=theme.ink, labelsize=8.5)
    bar.set_ticks([-1, 0, 1], labels=ends)


def _evidence(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Draw bars that add up to the logit.

    The strongest regions, all others together, and the bias.
    """
    evidence = explanation.evidence[:, explanation.target]
    order = np.argsort(-np.abs(evidence), kind="stable")
    order = order[explanation.mask[order]]
    first, rest = order[:SHOWN_BARS], order[SHOWN_BARS:]
    rows = [(explanation.region_name(r), float(evidence[r])) for r in first]
    if len(rest):
        rows.append((f"other {len(rest)}", float(evidence[rest].sum())))
    rows.append(("bias", float(explanation.bias[explanation.target])))

    names, values = zip(*rows, strict=True)
    digits = _digits(max(map(abs, values)))
    colors = [theme.supports if value >= 0 else theme.opposes for value in values]
    bars = axes.barh(names, values, color=colors)
    axes.bar_label(bars, fmt=f"%+.{digits}f", padding=3, color=theme.ink, fontsize=9.5)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    logit = explanation.logits[explanation.target]
    axes.set_title(f"{_target(explanation)}: exact parts of logit {logit:.{digits}f}")
    axes.set_ylabel("region", color=theme.ink)


def _digits(largest: float) -> int:
    """Count decimals for two significant digits of the largest part."""
    return int(np.clip(1 - np.floor(np.log10(largest)), 2, 8)) if largest > 0 else 2


def _pairwise(explanation: Explanation, axes: Axes, theme: Theme) -> None:
    """Show how much each region takes from each.

    Lines part single groups, pairs and the whole image.
    """
    if not explanation.has_attention:
        words = "this network has\nno pairwise attention"
        axes.text(0.5, 0.5, words, ha="center", color=theme.ink, fontsize=12)
        axes.set(xticks=[], yticks=[], title="Pairwise attention")
        return
    valid = np.flatnonzero(explanation.mask)
    matrix = explanation.pairwise[np.ix_(valid, valid)]
    painted = axes.imshow(matrix, cmap="cividis", interpolation="nearest")
    primary = int((valid < explanation.num_primary).sum())
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
    bar = axes.figure.colorbar(painted, ax=axes, fraction=0.046)
    bar.ax.tick_params(colors=theme.ink, labelsize=9)


def _target(explanation: Explanation) -> str:
    """Name the explained class, short enough for a title."""
    return class_label(explanation.classes[explanation.target], 20)
