"""What the page does with an uploaded image, none of which is kept."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import get_args

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg

from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import Panel, explanation_figure, panel_figure
from agnet_vision.explain.overlays import ThemeName
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.keypoints import Detector, detect
from agnet_vision.regions.proposer import RegionProposer, Source

MAX_UPLOAD_PIXELS = 40_000_000
PANEL_DPI = 150


def region_sources() -> dict[str, dict[str, str]]:
    """Name all sources of regions, for the detectors that this OpenCV has."""
    sources = {}
    for source in get_args(Source):
        if not RegionProposer(source).needs_keypoints:
            sources[f"control: {source}"] = {"source": source}
            continue
        for name in get_args(Detector):
            with suppress(ConfigError):
                detect(np.zeros((8, 8, 3), np.uint8), name)
                sources[f"{source}: {name}"] = {"source": source, "detector": name}
    return sources


def own_source(model: AGNet) -> str:
    """Name the choice that the network was trained with."""
    own = model.proposer
    if own.needs_keypoints:
        return f"{own.source}: {own.detector}"
    return f"control: {own.source}"


def explain_file(model: AGNet, path: str, source: str, num_clusters: int) -> Explanation:
    """Explain an uploaded image with the chosen regions.

    Args:
        source: name of one of ``region_sources``.

    Raises:
        ImageReadError: the file is not an image, or is too large.
        PredictionError: the network's output is not finite.
    """
    image = read_image(path, max_pixels=MAX_UPLOAD_PIXELS)
    chosen = region_sources()[source] | {"num_clusters": num_clusters}
    proposer = RegionProposer.from_settings({**model.proposer.settings(), **chosen})
    return explain(model, image, proposer=proposer)


def ranking(explanation: Explanation) -> dict[str, float]:
    """Give the probability of each class by its name."""
    names = [name.replace("_", " ") for name in explanation.classes]
    return dict(zip(names, explanation.probabilities.tolist(), strict=True))


def remark(model: AGNet, explanation: Explanation, source: str, num_clusters: int) -> str:
    """Say what is shown, and warn when the settings differ from those of the training."""
    if not explanation.num_primary:
        return "This network sees the whole image only; regions change nothing."

    words = f"{int(explanation.mask.sum())} regions of {len(explanation.mask)} slots, "
    words += f"κ = {num_clusters}, {source}."
    if explanation.has_attention and not explanation.separates_regions():
        words += " The attention has not separated them: importances lie within 1 % of uniform."
    trained = (own_source(model), model.proposer.num_clusters)
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


def figure_files(explanation: Explanation, theme: ThemeName) -> dict[str, bytes]:
    """Render the whole figure as PNG and SVG, by suffix."""
    figure = explanation_figure(explanation, theme=theme)
    files = {"png": io.BytesIO(), "svg": io.BytesIO()}
    for form, file in files.items():
        figure.savefig(file, format=form, dpi=PANEL_DPI)
    return {form: file.getvalue() for form, file in files.items()}
