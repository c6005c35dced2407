"""The painter: an image on matplotlib's axes, with boxes, labels and maps over it.

Okabe and Ito's colors suit every kind of color vision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from agnet_vision.explain.explanation import Explanation
from agnet_vision.structures import RGBImage

# Neighbors differ in lightness; black is replaced by white, which shows on images.
GROUP_COLORS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#CC79A7",
    "#0072B2",
    "#D55E00",
    "#FFFFFF",
)
PAIR_COLOR = "#FFFFFF"
DARK_COLORS = ("#009E73", "#0072B2", "#D55E00")  # they take white letters
SATURATION = 2  # times the uniform importance 1/R, or its half, where the attention's colors end
DRAWN_SIDE = 640  # pixels kept of an image inside a figure
LABEL_ROWS = 14  # of labels that fit below each other


class Theme(NamedTuple):
    """Colors of a figure; ``supports`` and ``opposes`` differ for every kind of color vision."""

    ink: str
    paper: str
    faint: str
    supports: str
    opposes: str


ThemeName = Literal["light", "dark"]
THEMES: Mapping[ThemeName, Theme] = {
    "light": Theme("#1b1b1b", "#ffffff", "#8a8a8a", supports="#D55E00", opposes="#0072B2"),
    "dark": Theme("#ececec", "#16181c", "#9a9a9a", supports="#E69F00", opposes="#56B4E9"),
}


def class_label(name: str, length: int = 24) -> str:
    """Turn the name of a class into a label for a figure.

    Underscores become blanks, what is longer than ``length`` letters is cut, and a dollar sign is
    escaped: matplotlib sets what stands between two of them as a formula.
    """
    name = " ".join(name.replace("_", " ").split())
    short = name if len(name) <= length else f"{name[: length - 1]}…"
    return short.replace("$", r"\$")


def draw_image(
    axes: Axes,
    image: RGBImage,
    frame: tuple[float, float, float, float] | None = None,
    *,
    gray: bool = False,
) -> None:
    """Show an image, with its pixels as units of the axes.

    Args:
        frame: ``(x0, y0, x1, y1)`` of what the network sees; the rest is darkened.
        gray: whether the image is shown pale and without colors, so that others show on it.
    """
    height, width = image.shape[:2]
    scale = min(1, DRAWN_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if gray:
        pale = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) // 2 + 110
        pixels = np.repeat(pale[..., None], 3, axis=2)

    if frame is not None:
        # A rounded resize leaves a sliver outside the frame, which is no crop.
        start, stop = np.reshape(frame, (2, 2)) / (width, height)
        left, top = np.ceil(np.clip(start - 0.005, 0, 1) * size).astype(int)
        right, bottom = np.floor(np.clip(stop + 0.005, 0, 1) * size).astype(int)
        seen = pixels[top:bottom, left:right].copy()
        pixels = (pixels * 0.45).astype(np.uint8)
        pixels[top:bottom, left:right] = seen

    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="bilinear")
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def outline_box(
    axes: Axes,
    box: Float[np.ndarray, " 4"],
    color: str,
    *,
    dashed: bool = False,
    linewidth: float = 1.8,
) -> None:
    """Outline ``(x0, y0, x1, y1)`` with a dark rim that keeps the line visible on any ground."""
    x0, y0, x1, y1 = box
    patch = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color, linewidth=linewidth)
    patch.set_linestyle((0, (4, 2)) if dashed else "-")
    rim = patheffects.withStroke(linewidth=1.9 * linewidth, foreground="black", alpha=0.7)
    patch.set_path_effects([rim])
    axes.add_patch(patch)


def region_color(explanation: Explanation, region: int) -> str:
    """Choose the color of a region: its group's, or white for a pair of groups."""
    is_primary = region < explanation.num_primary
    return GROUP_COLORS[region % len(GROUP_COLORS)] if is_primary else PAIR_COLOR


def outline_region(
    explanation: Explanation, axes: Axes, region: int, *, linewidth: float = 1.8
) -> None:
    """Outline a region in its color, a pair of groups dashed."""
    outline_box(
        axes,
        explanation.boxes[region],
        region_color(explanation, region),
        dashed=region >= explanation.num_primary,
        linewidth=linewidth,
    )


def label_regions(explanation: Explanation, axes: Axes, labels: Mapping[int, str]) -> None:
    """Write a label at the box of each region; the first chooses its place first."""
    boxes = [explanation.boxes[region] for region in labels]
    places = place_labels(explanation.image.shape[:2], boxes, list(labels.values()))
    for (region, text), place in zip(labels.items(), places, strict=True):
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


def place_labels(
    size: tuple[int, int], boxes: list[Float[np.ndarray, " 4"]], texts: list[str]
) -> list[tuple[float, float]]:
    """Find the center of each label: the upper left corner of its box, or the nearest free row.

    In an image full of labels the last ones stand over others.
    """
    height, width = size
    high = max(height, 0.6 * width) * 0.075  # a line of text in a figure of this library
    steps = sorted(range(-LABEL_ROWS, LABEL_ROWS + 1), key=abs)

    taken: list[tuple[float, float, float]] = []  # left, right and upper end
    for box, text in zip(boxes, texts, strict=True):
        wide = width * (0.02 + 0.026 * len(text))
        left, corner = np.clip(box[:2], 0, (width - wide, height - high)).tolist()
        beside = [top for x0, x1, top in taken if x0 < left + wide and left < x1]
        rows = [corner + step * high for step in steps]
        free = (
            row
            for row in rows
            if 0 <= row <= height - high and all(abs(row - top) > 0.999 * high for top in beside)
        )
        taken.append((left, left + wide, next(free, corner)))
    return [((x0 + x1) / 2, top + high / 2) for x0, x1, top in taken]


def paint_attention(explanation: Explanation, axes: Axes, theme: Theme) -> AxesImage:
    """Paint the mean importance of each place; -1 and 1 are half and twice the uniform."""
    mask = explanation.mask
    uniform = replace(explanation, importance=(mask / mask.sum()).astype(np.float32))
    ratio = explanation.heat("attention") / np.maximum(uniform.heat("attention"), 1e-12)
    heat = np.log(np.clip(ratio, 1 / SATURATION, SATURATION)) / np.log(SATURATION)
    return _paint_map(explanation, axes, heat, theme)


def paint_evidence(
    explanation: Explanation, axes: Axes, theme: Theme, top: float | None = None
) -> tuple[AxesImage, float]:
    """Paint the evidence for the explained class over the frame.

    Args:
        top: evidence in a cell of ``explanation.heat()`` where the scale ends; by default the
            strongest hundredth saturates.

    Returns:
        What was painted, and the evidence per 1 % of the frame where its scale ends.
    """
    heat = explanation.heat("evidence")
    top = top or float(np.quantile(np.abs(heat), 0.99)) or 1.0
    return _paint_map(explanation, axes, heat / top, theme), top * heat.size / 100


def _paint_map(
    explanation: Explanation, axes: Axes, heat: Float[np.ndarray, "size size"], theme: Theme
) -> AxesImage:
    """Color a map over the frame: -1 cold, 0 transparent, 1 warm."""
    cold, warm = theme.opposes, theme.supports
    colors = [f"{cold}e6", f"{cold}00", f"{warm}00", f"{warm}e6"]
    x0, y0, x1, y1 = explanation.frame

    limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
    painted = axes.imshow(
        heat,
        cmap=LinearSegmentedColormap.from_list("two_sided", colors),
        vmin=-1,
        vmax=1,
        extent=(x0, x1, y1, y0),
        interpolation="bilinear",
        zorder=2,
    )
    axes.set(**limits)
    return painted
