"""Images of a run, each explained in a thumbnail."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from matplotlib.figure import Figure
from PIL import Image

from agnet_vision.data.image import read_image
from agnet_vision.evaluation.run_folder import RunResults
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.overlays import (
    THEMES,
    draw_image,
    outline_box,
    outline_region,
    paint_evidence,
)
from agnet_vision.models.agnet import AGNet

SIDE = 220  # pixels of a thumbnail's longer side
DPI = 100
QUALITY = 82  # of the JPEGs
BOXES = 3  # regions outlined
SHOWN = 12  # mistakes, and random images


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail and its caption."""

    jpeg: str  # as a data address
    path: str
    true: str
    predicted: str
    confidence: float
    separated: bool  # whether the attention prefers any of its regions


def confident_mistakes(run: RunResults) -> Int[np.ndarray, " images"]:
    """List the images that are wrong with the highest confidence."""
    wrong = np.flatnonzero(~run.hits)
    return wrong[np.argsort(-run.probability[wrong].max(axis=1), kind="stable")][:SHOWN]


def random_images(run: RunResults) -> Int[np.ndarray, " images"]:
    """Draw images, right or wrong, to set beside the mistakes."""
    return np.sort(np.random.default_rng(0).permutation(len(run.label))[:SHOWN])


def make_cards(
    run: RunResults, model: AGNet, root: Path, chosen: Int[np.ndarray, " images"]
) -> list[Thumbnail]:
    """Explain the run's chosen images for the class they were given.

    Raises:
        ImageReadError: an image cannot be read any more.
    """
    cards = []
    for number in chosen:
        predicted = int(run.predicted[number])
        explanation = explain(model, read_image(root / run.paths[number]), target=predicted)
        cards.append(
            Thumbnail(
                jpeg=thumbnail(explanation),
                path=run.paths[number],
                true=run.task.text(run.label[number], run.classes),
                predicted=run.classes[predicted],
                confidence=float(run.probability[number].max()),
                separated=explanation.separates_regions(),
            )
        )

    return cards


def thumbnail(
    explanation: Explanation, box: tuple[float, float, float, float] | None = None
) -> str:
    """Draw the most important regions beside the evidence, as JPEG.

    Where the attention prefers no region, none is outlined.

    Args:
        box: box, in fractions of the image, that is outlined instead of regions.
    """
    height, width = explanation.image.shape[:2]
    grid = (1, 2) if height >= width else (2, 1)  # beside a tall image, under a wide one
    size = SIDE / DPI / max(height, width) * np.array([width * grid[1], height * grid[0]])
    figure = Figure(figsize=tuple(size), dpi=DPI, facecolor="#808080")
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.02, hspace=0.02)
    first, second = figure.subplots(*grid)

    draw_image(first, explanation.image, explanation.frame)
    if box is not None:
        outline_box(first, np.multiply(box, [width, height] * 2), "#FFFFFF", linewidth=1.2)
    elif explanation.separates_regions():
        for region in explanation.regions_by_importance()[:BOXES]:
            outline_region(explanation, first, region, linewidth=1.0)
    draw_image(second, explanation.image, explanation.frame, gray=True)
    paint_evidence(explanation, second, THEMES["light"])
    for axes in (first, second):
        axes.set_axis_off()

    return figure_address(figure)


def figure_address(figure: Figure) -> str:
    """Write a figure as a data address, as JPEG."""
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=DPI, pil_kwargs={"quality": QUALITY})
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def as_address(pixels: UInt8[np.ndarray, "height width channels"]) -> str:
    """Write pixels as a data address, as JPEG, or as PNG where they are transparent."""
    kind = "png" if pixels.shape[2] == 4 else "jpeg"
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, quality=QUALITY)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()
