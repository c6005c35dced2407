"""What the page does with an uploaded image, none of which is kept."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg

from agnet_vision.choices import Detector, Source
from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import Panel, attention_remark, panel_figure
from agnet_vision.explain.overlays import ThemeName
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer

MAX_UPLOAD_PIXELS = 40_000_000
PANEL_DPI = 150


def region_sources() -> dict[str, dict[str, Any]]:
    """Name all sources of regions, for the detectors that this OpenCV has."""
    sources = {}
    for source, detector in product(get_args(Source), get_args(Detector)):
        proposer = RegionProposer(source, detector)
        with suppress(ConfigError):
            proposer.keypoints(np.zeros((8, 8, 3), np.uint8))
            sources[source_name(proposer)] = {"source": source, "detector": detector}
    return sources


def source_name(proposer: RegionProposer) -> str:
    """Name the source of a proposer's regions as the page does."""
    if proposer.needs_keypoints:
        return f"{proposer.source}: {proposer.detector}"
    return f"control: {proposer.source}"


def explain_file(model: AGNet, path: str, source: str, num_clusters: int) -> Explanation:
    """Explain an uploaded image with the chosen regions.

    Args:
        source: name of one of ``region_sources``.

    Raises:
        ImageReadError: the file is not an image, or is too large.
        PredictionError: the network's output is not finite.
    """
    image = read_image(path, max_pixels=MAX_UPLOAD_PIXELS)
    proposer = replace(model.proposer, num_clusters=num_clusters, **region_sources()[source])
    return explain(model, image, proposer=proposer)


def ranking(explanation: Explanation) -> dict[str, float]:
    """Give the probability of each class by its name."""
    names = [name.replace("_", " ") for name in explanation.classes]
    return dict(zip(names, explanation.probabilities.tolist(), strict=True))


def remark(model: AGNet, explanation: Explanation, source: str, num_clusters: int) -> str:
    """Say what is shown, and warn when the settings differ from those of the training."""
    words = ""
    if not model.task.is_exclusive:
        given = model.task.decided(explanation.probabilities, explanation.classes)
        words = f"Over their thresholds: {', '.join(given) or 'none'}. The figures are for "
        words += f"{explanation.classes[explanation.target]}. "
    if not explanation.num_primary:
        return words + "This network sees the whole image only; regions change nothing."

    words += f"{int(explanation.mask.sum())} regions of {len(explanation.mask)} slots, "
    words += f"κ = {num_clusters}, {source}."
    if quiet := attention_remark(explanation):
        words += f" {quiet}"
    trained = (source_name(model.proposer), model.proposer.num_clusters)
    if trained != (source, num_clusters):
        words += f" The network was trained with κ = {trained[1]}, {trained[0]}; "
        words += "others are new to it."
    return words


def draw(
    explanation: Explanation, panel: Panel, theme: ThemeName
) -> UInt8[np.ndarray, "height width 3"]:
    """Render a panel to pixels."""
    canvas = FigureCanvasAgg(panel_figure(explanation, panel, theme=theme))
    canvas.figure.set_dpi(PANEL_DPI)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
