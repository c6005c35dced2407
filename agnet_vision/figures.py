"""Explanations drawn: six panels in a figure, or each panel alone. Okabe and Ito's colours suit every kind of colour vision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from agnet_vision.explain import Explanation

Panel = Literal["keypoints", "regions", "attention", "heat", "evidence", "pairwise"]
PANELS: tuple[Panel, ...] = get_args(Panel)
PHOTOGRAPHS: tuple[Panel, ...] = ("keypoints", "regions", "attention", "heat")

# Okabe-Ito, ordered so that neighbours differ in lightness; black is replaced by white, which shows on photographs.
GROUP_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00", "#FFFFFF")
GROUP_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # a second cue, and it tells groups 9 and on from 1 and on
DARK_COLOURS = ("#009E73", "#0072B2", "#D55E00")  # they take white letters
SHOWN_REGIONS = 6  # labelled boxes; more would cover the photograph
SHOWN_BARS = 10
SATURATION = 2  # times the uniform importance 1/R, or its half, where the colours of the attention end
MAX_PHOTO_SIDE = 640  # pixels kept of a photograph inside a figure


class Theme(NamedTuple):
    """Colours of a figure; ``supports`` and ``opposes`` differ for every kind of colour vision."""

    ink: str
    paper: str
    faint: str
    supports: str
    opposes: str


THEMES = {
    "light": Theme(ink="#1b1b1b", paper="#ffffff", faint="#8a8a8a", supports="#D55E00", opposes="#0072B2"),
    "dark": Theme(ink="#ececec", paper="#16181c", faint="#9a9a9a", supports="#E69F00", opposes="#56B4E9"),
}


def explanation_figure(told: Explanation, *, theme: Literal["light", "dark"] = "light") -> Figure:
    """Draw all panels, with the class and its probability above."""
    colours = THEMES[theme]
    photograph = 4.4 * min(max(told.image.shape[0] / told.image.shape[1], 0.5), 1.4)  # inches high, in a column of 4.4
    rows = (photograph + 0.8, max(photograph, 4.0) + 0.5)
    figure = Figure(figsize=(13.6, sum(rows) + 0.6), layout="constrained", facecolor=colours.paper)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    for axes, panel in zip(figure.subplots(2, 3, height_ratios=rows).flat, PANELS, strict=True):
        _draw(told, axes, panel, colours)
        if panel in PHOTOGRAPHS:
            axes.set_anchor("N")
    best = np.argsort(-told.probabilities)[:3]
    ranking = "    ".join(f"{_clip(told.classes[k].replace('_', ' '), 28)} {told.probabilities[k]:.1%}" for k in best)
    figure.suptitle(ranking, color=colours.ink, fontsize=15, fontweight="bold")
    return figure


def panel_figure(told: Explanation, panel: Panel, *, theme: Literal["light", "dark"] = "light") -> Figure:
    """Draw one panel, large enough to be read on a phone."""
    height = 0.8 + 4.4 * min(told.image.shape[0] / told.image.shape[1], 1.4) if panel in PHOTOGRAPHS else 4.0
    figure = Figure(figsize=(4.4, height), layout="constrained", facecolor=THEMES[theme].paper)
    _draw(told, figure.subplots(), panel, THEMES[theme])
    return figure


def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write PNG, SVG or PDF, as the suffix says; the same figure gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    figure.savefig(path, dpi=130, metadata=metadata, facecolor=figure.get_facecolor())
    return path


def _draw(told: Explanation, axes: Axes, panel: Panel, theme: Theme) -> None:
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
    draw[panel](told, axes, theme)
    axes.title.set(color=theme.ink, fontsize=12, horizontalalignment="left", x=0)
    axes.tick_params(colors=theme.ink, labelsize=10)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _photograph(told: Explanation, axes: Axes, *, grey: bool = False) -> None:
    """Show the photograph in its own pixels, what the network does not see darkened."""
    image = _shrink(told.image)
    if grey:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 110, 3, axis=2).clip(0, 255)
    height, width = told.image.shape[:2]
    axes.imshow(image, extent=(0, width, height, 0), interpolation="bilinear")
    x0, y0, x1, y1 = told.frame
    for left, top, right, bottom in ((0, 0, x0, height), (x1, 0, width, height), (x0, 0, x1, y0), (x0, y1, x1, height)):
        # A rounded resize leaves a sliver, which is no crop.
        if right - left > 0.005 * width and bottom - top > 0.005 * height:
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, color="black", alpha=0.55, linewidth=0))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def _shrink(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    scale = MAX_PHOTO_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _keypoints(told: Explanation, axes: Axes, theme: Theme) -> None:
    _photograph(told, axes)
    slots = np.flatnonzero(told.mask[: told.num_primary]).tolist()
    for slot in slots:
        points = told.keypoints.xy[told.slot == slot]
        colour, marker = GROUP_COLOURS[slot % 8], GROUP_MARKERS[slot % 8]
        axes.scatter(points[:, 0], points[:, 1], s=20, c=colour, marker=marker, edgecolors="black", linewidths=0.6)
        _outline(told, axes, slot, colour)
    _label(told, axes, [(slot, GROUP_COLOURS[slot % 8], str(slot + 1)) for slot in slots])
    axes.set_title(f"{len(told.keypoints.xy)} keypoints in {len(slots)} groups{_why_fewer(told, len(slots))}")


def _why_fewer(told: Explanation, groups: int) -> str:
    """Say why a group of the network's has no box here, where that is known."""
    if groups >= told.num_primary:
        return ""
    if len(told.keypoints.xy) <= told.num_primary:
        return f", too few for {told.num_primary}"
    outside = int((told.slot < 0).sum())
    return f" ({outside} points lie outside)" if outside else ""


def _regions(told: Explanation, axes: Axes, theme: Theme) -> None:
    _photograph(told, axes)
    order = np.argsort(-told.importance, kind="stable")
    order = order[told.mask[order] & (order < len(told.mask) - 1)]  # the whole image needs no box
    for region in order[SHOWN_REGIONS:]:
        (x0, y0, x1, y1) = told.boxes[region]
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="white", linewidth=0.5, alpha=0.45))
    labels = []
    for region in order[:SHOWN_REGIONS].tolist():
        primary = region < told.num_primary
        colour = GROUP_COLOURS[region % 8] if primary else "#FFFFFF"
        _outline(told, axes, region, colour, dashed=not primary)
        labels.append((region, colour, f"{told.region_name(region)}: {told.importance[region]:.1%}"))
    _label(told, axes, labels)
    axes.set_title("Regions by importance (dashed: pairs)" if told.variant == "full" else "Regions, all alike")


def _outline(told: Explanation, axes: Axes, region: int, colour: str, *, dashed: bool = False) -> None:
    """Outline a region on the photograph; the dark rim keeps it visible on any ground."""
    x0, y0, x1, y1 = told.boxes[region]
    style = (0, (4, 2)) if dashed else "-"
    box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.8, linestyle=style)
    box.set_path_effects([patheffects.withStroke(linewidth=3.4, foreground="black", alpha=0.7)])
    axes.add_patch(box)


def _label(told: Explanation, axes: Axes, labels: list[tuple[int, str, str]]) -> None:
    """Write each label into a corner of its box where no other label stands yet, else the nearest free place."""
    height, width = told.image.shape[:2]
    taken: list[tuple[float, float, float, float]] = []
    for region, colour, text in labels:
        label_width, label_height = width * (0.02 + 0.026 * len(text)), max(height, 0.6 * width) * 0.075
        x0, y0, x1, y1 = told.boxes[region]
        middle = ((x0 + x1 - label_width) / 2, (y0 + y1 - label_height) / 2)
        right, bottom = x1 - label_width, y1 - label_height
        spots = ((x0, y0), (right, bottom), (right, y0), (x0, bottom), (x0, middle[1]), (middle[0], y0), middle)
        columns, rows = np.linspace(0, width - label_width, 25), np.linspace(0, height - label_height, 25)
        places = [(float(x), float(y)) for x in columns for y in rows]
        places.sort(key=lambda place: (place[0] - middle[0]) ** 2 + (place[1] - middle[1]) ** 2)
        for x, y in (*spots, *places):
            left, top = np.clip(x, 0, width - label_width), np.clip(y, 0, height - label_height)
            if all(left + label_width <= a or left >= c or top + label_height <= b or top >= d for a, b, c, d in taken):
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


def _attention(told: Explanation, axes: Axes, theme: Theme) -> None:
    _photograph(told, axes, grey=True)
    bar = _overlay(told, axes, np.log(_times_uniform(told)) / np.log(SATURATION), theme)
    bar.set_ticks([-1, 0, 1], labels=[f"1/{SATURATION} or less", "uniform", f"{SATURATION} times or more"])
    axes.set_title("Importance over uniform 1/R" if told.variant == "full" else f"{told.variant}: regions all alike")


def _heat(told: Explanation, axes: Axes, theme: Theme) -> None:
    _photograph(told, axes, grey=True)
    heat = told.heat("evidence")
    top = float(np.quantile(np.abs(heat), 0.99)) or 1.0  # the strongest hundredth saturates
    bar = _overlay(told, axes, heat / top, theme)
    most = top * heat.size / 100
    bar.set_ticks([-1, 0, 1], labels=[f"{-most:.2g}", "0, logit a hundredth of the frame", f"{most:+.2g}"])
    axes.set_title(f"{_short(told)}: for (warm), against (cold)")


def _times_uniform(told: Explanation) -> Float[np.ndarray, "size size"]:
    """Average the regions' importance over each place, as a multiple of the uniform 1/R; uniform importance gives ones."""
    uniform = replace(told, importance=(told.mask / told.mask.sum()).astype(np.float32))
    ratio = told.heat("attention") / np.maximum(uniform.heat("attention"), 1e-12)
    return np.clip(ratio, 1 / SATURATION, SATURATION)


def _overlay(told: Explanation, axes: Axes, heat: Float[np.ndarray, "size size"], theme: Theme) -> Colorbar:
    """Lay a map from -1 to 1 over the frame, with its scale below the photograph."""
    x0, y0, x1, y1 = told.frame
    shown = axes.imshow(
        heat, cmap=_two_sided(theme), vmin=-1, vmax=1, extent=(x0, x1, y1, y0), interpolation="bilinear", zorder=2
    )
    height, width = told.image.shape[:2]
    axes.set(xlim=(0, width), ylim=(height, 0))
    place = axes.inset_axes((0.12, -0.07, 0.76, 0.03))
    place.set_facecolor("#999999")
    bar = axes.figure.colorbar(shown, cax=place, orientation="horizontal")
    place.tick_params(colors=theme.ink, labelsize=8.5)
    return bar


def _two_sided(theme: Theme) -> LinearSegmentedColormap:
    """Cold, transparent, warm."""
    cold, warm = theme.opposes, theme.supports
    return LinearSegmentedColormap.from_list("evidence", [f"{cold}e6", f"{cold}00", f"{warm}00", f"{warm}e6"])


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
    bars = axes.barh(names, values, color=[theme.supports if v >= 0 else theme.opposes for v in values])
    axes.bar_label(bars, fmt=f"%+.{digits}f", padding=3, color=theme.ink, fontsize=9.5)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{_short(told)}: exact parts of logit {told.logits[told.target]:.{digits}f}")
    axes.set_ylabel("region", color=theme.ink)


def _digits(largest: float) -> int:
    """Count the decimals that show two significant digits of the largest part."""
    return int(np.clip(1 - np.floor(np.log10(largest)), 2, 8)) if largest > 0 else 2


def _pairwise(told: Explanation, axes: Axes, theme: Theme) -> None:
    if told.variant != "full":
        axes.text(0.5, 0.5, f"{told.variant}\nhas no pairwise attention", ha="center", color=theme.ink, fontsize=12)
        axes.set(xticks=[], yticks=[], title="Pairwise attention")
        return
    valid = np.flatnonzero(told.mask)
    image = axes.imshow(told.pairwise[np.ix_(valid, valid)], cmap="cividis", interpolation="nearest")
    primary = int((valid < told.num_primary).sum())
    pairs = len(valid) - primary - 1
    bands = [(f"1–{primary}", primary, (primary - 1) / 2), ("pairs", pairs, primary + (pairs - 1) / 2)]
    marks = [(name, place) for name, count, place in bands if count] + [("whole", len(valid) - 1)]
    names, places = zip(*marks, strict=True)
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names)
    for line in (primary - 0.5, len(valid) - 1.5):
        axes.axhline(line, color="white", linewidth=0.8)
        axes.axvline(line, color="white", linewidth=0.8)
    axes.set(xlabel="takes from region", ylabel="region", title="Pairwise attention")
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.046)
    bar.ax.tick_params(colors=theme.ink, labelsize=9)


def _short(told: Explanation) -> str:
    return _clip(told.classes[told.target].replace("_", " "), 20)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
