"""A photograph and what is painted over it: importance and evidence, each with its scale."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from agnet_vision.explain.explanation import Explanation

SATURATION = (
    2  # times the uniform importance 1/R, or its half, where the colours of the attention end
)
NEARLY_UNIFORM = 1.3  # largest over smallest importance below which the colours do not show it
MAX_PHOTO_SIDE = 640  # pixels kept of a photograph inside a figure


class Theme(NamedTuple):
    """Colours of a figure; ``supports`` and ``opposes`` differ for every kind of colour vision."""

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


def draw_photograph(told: Explanation, axes: Axes, *, grey: bool = False) -> None:
    """Show the photograph in its own pixels, what the network does not see darkened."""
    image = _shrink(told.image)
    if grey:
        image = np.repeat(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 110, 3, axis=2
        ).clip(0, 255)
    height, width = told.image.shape[:2]
    axes.imshow(image, extent=(0, width, height, 0), interpolation="bilinear")
    x0, y0, x1, y1 = told.frame
    for left, top, right, bottom in (
        (0, 0, x0, height),
        (x1, 0, width, height),
        (x0, 0, x1, y0),
        (x0, y1, x1, height),
    ):
        # A rounded resize leaves a sliver, which is no crop.
        if right - left > 0.005 * width and bottom - top > 0.005 * height:
            axes.add_patch(
                Rectangle(
                    (left, top), right - left, bottom - top, color="black", alpha=0.55, linewidth=0
                )
            )
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])


def _shrink(
    image: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
    scale = MAX_PHOTO_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def draw_attention(told: Explanation, axes: Axes, theme: Theme) -> None:
    """Paint the importance over the photograph, as a multiple of the uniform."""
    draw_photograph(told, axes, grey=True)
    bar = _overlay(told, axes, np.log(times_uniform(told)) / np.log(SATURATION), theme)
    bar.set_ticks(
        [-1, 0, 1], labels=[f"1/{SATURATION} or less", "uniform", f"{SATURATION} times or more"]
    )
    if not told.has_attention:
        axes.set_title(f"{told.variant}: regions all alike")
        return
    times = told.importance[told.mask] * told.mask.sum()
    spread = (
        f", {times.min():.2f} to {times.max():.2f} times"
        if times.max() / times.min() < NEARLY_UNIFORM
        else ""
    )
    axes.set_title(f"Importance over uniform 1/R{spread}")


def draw_heat(told: Explanation, axes: Axes, theme: Theme) -> None:
    """Paint the evidence for the explained class over the photograph."""
    draw_photograph(told, axes, grey=True)
    heat = told.heat("evidence")
    top = float(np.quantile(np.abs(heat), 0.99)) or 1.0  # the strongest hundredth saturates
    bar = _overlay(told, axes, heat / top, theme)
    most = top * heat.size / 100
    bar.set_ticks([-1, 0, 1], labels=[f"{-most:.2g}", "0, per 1 % of the frame", f"{most:+.2g}"])
    axes.set_title(f"{title_of(told)}: for (warm), against (cold)")


def times_uniform(told: Explanation) -> Float[np.ndarray, "size size"]:
    """Average the regions' importance over each place, as a multiple of the uniform 1/R; uniform importance gives ones."""
    uniform = replace(told, importance=(told.mask / told.mask.sum()).astype(np.float32))
    ratio = told.heat("attention") / np.maximum(uniform.heat("attention"), 1e-12)
    return np.clip(ratio, 1 / SATURATION, SATURATION)


def _overlay(
    told: Explanation, axes: Axes, heat: Float[np.ndarray, "size size"], theme: Theme
) -> Colorbar:
    """Lay a map from -1 to 1 over the frame, with its scale below the photograph."""
    x0, y0, x1, y1 = told.frame
    shown = axes.imshow(
        heat,
        cmap=_two_sided(theme),
        vmin=-1,
        vmax=1,
        extent=(x0, x1, y1, y0),
        interpolation="bilinear",
        zorder=2,
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
    return LinearSegmentedColormap.from_list(
        "evidence", [f"{cold}e6", f"{cold}00", f"{warm}00", f"{warm}e6"]
    )


def title_of(told: Explanation) -> str:
    """Name the explained class, short enough for a title."""
    return clip(told.classes[told.target].replace("_", " "), 20)


def clip(text: str, length: int) -> str:
    """Shorten a text to ``length`` letters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
