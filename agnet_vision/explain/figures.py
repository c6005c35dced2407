"""Explanations drawn, as six panels or panel by panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from agnet_vision.explain.explanation import Explanation
from agnet_vision.explain.overlays import THEMES, class_label
from agnet_vision.explain.panels import ON_IMAGE, PANELS, Panel, draw_panel

ThemeName = Literal["light", "dark"]


def explanation_figure(explanation: Explanation, *, theme: ThemeName = "light") -> Figure:
    """Draw all panels, with the most probable classes above."""
    colors = THEMES[theme]
    height, width = explanation.image.shape[:2]
    image = 3.7 * min(max(height / width, 0.5), 1.4)  # inches high, of 3.7 wide
    rows = (image + 0.9, max(image, 3.7) + 0.9)
    figure = Figure(figsize=(13.6, sum(rows) + 0.6), facecolor=colors.paper)
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    for axes, panel in zip(figure.subplots(2, 3, height_ratios=rows).flat, PANELS, strict=True):
        draw_panel(explanation, axes, panel, colors)
        axes.set_anchor("N")
    best = np.argsort(-explanation.probabilities)[:3]
    ranking = "    ".join(
        f"{class_label(explanation.classes[k], 28)} {explanation.probabilities[k]:.1%}"
        for k in best
    )
    figure.suptitle(ranking, color=colors.ink, fontsize=15, fontweight="bold")
    return figure


def panel_figure(explanation: Explanation, panel: Panel, *, theme: ThemeName = "light") -> Figure:
    """Draw one panel, large enough for a phone.

    Args:
        explanation: of the image.
        panel: one of ``PANELS``.
        theme: ``light`` or ``dark``.
    """
    height, width = explanation.image.shape[:2]
    inches = 0.8 + 4.4 * min(height / width, 1.4) if panel in ON_IMAGE else 4.0
    figure = Figure(figsize=(4.4, inches), layout="constrained", facecolor=THEMES[theme].paper)
    draw_panel(explanation, figure.subplots(), panel, THEMES[theme])
    return figure


def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write PNG, SVG or PDF, as the suffix says.

    The same figure gives the same bytes.

    Args:
        figure: of this module.
        path: ends in .png, .svg or .pdf; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    undated: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    metadata = undated.get(path.suffix.lower(), {})
    figure.savefig(path, dpi=130, metadata=metadata, facecolor=figure.get_facecolor())
    return path
