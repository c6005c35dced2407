"""An image with boxes, importance, evidence and labels painted over.

Okabe and Ito's colors suit every kind of color vision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from agnet_vision.explain.explanation import Explanation

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
SATURATION = 2  # times the uniform importance 1/R, or its half, where the attention's colors end
DRAWN_SIDE = 640  # pixels kept of an image inside a figure


def class_label(name: str, length: int = 24) -> str:
    """Make a class's name a label for a figure.

    Underscores become blanks, what is longer than ``length`` letters is cut, and a dollar sign is
    escaped: matplotlib sets what stands between two of them as a formula.
    """
    name = " ".join(name.replace("_", " ").split())
    short = name if len(name) <= length else f"{name[: length - 1]}…"
    return short.replace("$", r"\$")


class Theme(NamedTuple):
    """Colors of a figure.

    ``supports`` and ``opposes`` differ for every kind of color vision.
    """

    ink: str
    paper: str
    faint: str
    supports: str
    opposes: str


THEMES = {
    "light": Theme(
        ink="#1b1b1b", paper="#ffffff", faint="#8a8a8a", supports="#D55E00", opposes="#0072B2"
    ),
    "dark": Theme(
        ink="#ececec", paper="#16181c", faint="#9a9a9a", supports="#E69F00", opposes="#56B4E9"
    ),
}


def region_color(explanation: Explanation, region: int) -> str:
    """Choose a group's color, or white for pairs of groups.

    Args:
        explanation: says how many slots are of single groups.
        region: slot of the region.
    """
    primary = region < explanation.num_primary
    return GROUP_COLORS[region % len(GROUP_COLORS)] if primary else PAIR_COLOR


def draw_image(explanation: Explanation, axes: Axes, *, gray: bool = False) -> None:
    """Show the image in pixels, unseen parts darkened.

    Args:
        explanation: of the image.
        axes: to draw on.
        gray: without its colors, and pale, so that others show on it.
    """
    pixels = _shrink(explanation.image)
    if gray:
        pale = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) // 2 + 110
        pixels = np.repeat(pale[..., None], 3, axis=2)
    height, width = explanation.image.shape[:2]
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="bilinear")
    x0, y0, x1, y1 = explanation.frame
    for left, top, right, bottom in (
        (0, 0, x0, height),
        (x1, 0, width, height),
        (x0, 0, x1, y0),
        (x0, y1, x1, height),
    ):
        # A rounded resize leaves a sliver, which is no crop.
        if right - left > 0.005 * width and bottom - top > 0.005 * height:
            size = (right - left, bottom - top)
            axes.add_patch(Rectangle((left, top), *size, color="black", alpha=0.55, linewidth=0))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def outline_region(
    explanation: Explanation, axes: Axes, region: int, *, linewidth: float = 1.8
) -> None:
    """Outline a region, a pair of groups dashed.

    The dark rim keeps it visible on any ground.

    Args:
        explanation: of the image.
        axes: with the image's pixels as units.
        region: slot of the region; it must hold one.
        linewidth: in points.
    """
    x0, y0, x1, y1 = explanation.boxes[region]
    box = Rectangle(
        (x0, y0),
        x1 - x0,
        y1 - y0,
        fill=False,
        edgecolor=region_color(explanation, region),
        linewidth=linewidth,
        linestyle="-" if region < explanation.num_primary else (0, (4, 2)),
    )
    rim = patheffects.withStroke(linewidth=1.9 * linewidth, foreground="black", alpha=0.7)
    box.set_path_effects([rim])
    axes.add_patch(box)


def paint_attention(explanation: Explanation, axes: Axes, theme: Theme) -> AxesImage:
    """Paint the importance over the frame.

    The scale's -1 and 1 are half and twice the uniform.
    """
    heat = np.log(attention_map(explanation)) / np.log(SATURATION)
    return _overlay(explanation, axes, heat, theme)


def paint_evidence(explanation: Explanation, axes: Axes, theme: Theme) -> tuple[AxesImage, float]:
    """Paint the evidence for the explained class over the frame.

    Returns:
        What was painted, and the evidence per 1 % of the frame where its scale ends.
    """
    heat = explanation.heat("evidence")
    top = float(np.quantile(np.abs(heat), 0.99)) or 1.0  # the strongest hundredth saturates
    return _overlay(explanation, axes, heat / top, theme), top * heat.size / 100


def attention_map(explanation: Explanation) -> Float[np.ndarray, "size size"]:
    """Average importance over each place, as a multiple of 1/R."""
    mask = explanation.mask
    uniform = replace(explanation, importance=(mask / mask.sum()).astype(np.float32))
    ratio = explanation.heat("attention") / np.maximum(uniform.heat("attention"), 1e-12)
    return np.clip(ratio, 1 / SATURATION, SATURATION)


def _overlay(
    explanation: Explanation, axes: Axes, heat: Float[np.ndarray, "size size"], theme: Theme
) -> AxesImage:
    """Color a map, -1 cold, 0 transparent and 1 warm."""
    cold, warm = theme.opposes, theme.supports
    colors = [f"{cold}e6", f"{cold}00", f"{warm}00", f"{warm}e6"]
    x0, y0, x1, y1 = explanation.frame
    shown = axes.imshow(
        heat,
        cmap=LinearSegmentedColormap.from_list("two_sided", colors),
        vmin=-1,
        vmax=1,
        extent=(x0, x1, y1, y0),
        interpolation="bilinear",
        zorder=2,
    )
    height, width = explanation.image.shape[:2]
    axes.set(xlim=(0, width), ylim=(height, 0))
    return shown


def _shrink(
    image: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    scale = DRAWN_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
