"""Deletion and insertion curves, which measure whether a heat map tells what matters.

Deletion (Petsiuk et al., RISE, 2018) blurs the image cell by cell, most important first: the better
the map, the faster the class is lost, the lower the area under the curve. Insertion starts from the
blurred image: the faster the class appears, the higher the area. Regions stay those of the whole
image, so that only the content changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur

from agnet_vision.evaluation.statistics import Interval, mean_interval
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.prepared import Preparation, PreparedImage
from agnet_vision.structures import Regions

GRID = 14  # cells per side that are blurred or shown at once (ours)
STEPS = 14  # steps of a curve
BLUR = 0.1  # standard deviation of the blur over the side of the image (ours)
# Okabe-Ito colors, each with its own dashes.
LINES = (("#D55E00", "-"), ("#E69F00", "--"), ("#009E73", "-."), ("#0072B2", "-"), ("#777777", ":"))


def measure(
    model: AGNet, images: Iterable[UInt8[np.ndarray, "_ _ 3"]], *, seed: int = 0
) -> dict[str, dict[str, Float[np.ndarray, "images steps"]]]:
    """Measure the curves of every kind of map, for the class that is predicted of each image.

    The network must be in evaluation mode; the seed is that of the random regions.

    Returns:
        For each kind of map, ``deletion`` and ``insertion``: the probability of the class after
            each step.
    """
    rng = np.random.default_rng(seed)
    curves: dict[str, list[np.ndarray]] = defaultdict(list)
    preparation = Preparation(model)
    for image in images:
        (prepared,) = preparation([image])
        explanation = explain(model, prepared)
        for name, heat in _maps(model, prepared, explanation, rng).items():
            rank = np.argsort(-heat.ravel(), kind="stable").argsort().reshape(GRID, GRID)
            curves[name].append(_curves(model, prepared, explanation.target, rank))

    return {
        name: dict(zip(("deletion", "insertion"), np.stack(found, axis=1), strict=True))
        for name, found in curves.items()
    }


def grad_cam(
    model: AGNet, prepared: PreparedImage, target: int
) -> Float[np.ndarray, "map_height map_width"]:
    """Compute Grad-CAM on the backbone's feature map.

    Channels are weighed by their mean gradient, and negative sums are cut off.
    """
    device = next(model.parameters()).device
    with torch.enable_grad():
        feature_map = model.forward_features(prepared.input[None].to(device)).detach()
        feature_map.requires_grad_()
        logit = model.head(feature_map, prepared.regions.to(device))[0, target]
        (gradient,) = torch.autograd.grad(logit, feature_map)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * feature_map).sum(dim=1).relu()[0].detach().cpu().numpy()


def _maps(
    model: AGNet, prepared: PreparedImage, explanation: Explanation, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "grid grid"]]:
    """Make every kind of map, on the common grid."""
    random = np.zeros((GRID, GRID))
    for _ in range(int(explanation.mask.sum())):
        low = rng.uniform(0, 0.8, 2)
        high = low + rng.uniform(0.1, 0.5, 2)
        x0, y0 = (low * GRID).astype(int)
        x1, y1 = np.ceil(np.minimum(high, 1) * GRID).astype(int)
        random[y0:y1, x0:x1] += 1 / ((y1 - y0) * (x1 - x0))

    size = GRID * 8
    maps = {
        "evidence": _on_grid(explanation.heat("evidence", size)),
        "evidence cells": _on_grid(explanation.cells),
        "attention": _on_grid(explanation.heat("attention", size)),
        "Grad-CAM": _on_grid(grad_cam(model, prepared, explanation.target)),
        "random regions": random,
    }
    # Ties, whole areas of zeros among them, are broken at random: row by row would be a map, too.
    return {
        name: heat + 1e-9 * np.abs(heat).max() * rng.random(heat.shape)
        for name, heat in maps.items()
    }


def _on_grid(heat: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "grid grid"]:
    """Resize a map to the common grid, averaging where it shrinks."""
    method = cv2.INTER_AREA if heat.shape[0] > GRID else cv2.INTER_LINEAR
    return cv2.resize(heat.astype(np.float32), (GRID, GRID), interpolation=method)


@torch.no_grad()
def _curves(
    model: AGNet, prepared: PreparedImage, target: int, rank: np.ndarray
) -> Float[np.ndarray, "2 steps"]:
    """Return the class's probability while cells are blurred, and uncovered."""
    device = next(model.parameters()).device
    sharp = prepared.input.to(device)
    # Until only the colors are left; a gray patch would be a signal of its own.
    sigma = BLUR * sharp.shape[-1]
    blurred = gaussian_blur(sharp, 2 * round(4 * sigma) + 1, sigma)

    thresholds = np.linspace(0, GRID * GRID, STEPS + 1)
    taken = torch.from_numpy(rank[None] < thresholds[:, None, None]).float()[:, None].to(device)
    masks = interpolate(taken, sharp.shape[-2:], mode="nearest")
    inputs = torch.cat(
        [blurred * masks + sharp * (1 - masks), sharp * masks + blurred * (1 - masks)]
    )
    parts = (part.expand(len(inputs), *part.shape[1:]) for part in prepared.regions.to(device))
    probability = model.task.probabilities(model(inputs, Regions(*parts)))[:, target]
    return probability.cpu().numpy().reshape(2, STEPS + 1)


def summarize(
    curves: dict[str, dict[str, Float[np.ndarray, "images steps"]]],
) -> dict[str, dict[str, Interval]]:
    """Average the area under the curves of all images, with a 95 % interval."""
    return {
        name: {
            kind: mean_interval(((rows[:, 1:] + rows[:, :-1]) / 2).mean(axis=1))
            for kind, rows in kinds.items()
        }
        for name, kinds in curves.items()
    }


def curves_figure(curves: dict[str, dict[str, Float[np.ndarray, "images steps"]]]) -> Figure:
    """Draw the mean curves of every kind of map, deletion beside insertion."""
    figure = Figure(figsize=(9.5, 4.0), layout="constrained")
    share = np.linspace(0, 1, STEPS + 1)

    verbs = {"deletion": "blurred", "insertion": "uncovered"}
    for axes, (kind, verb) in zip(figure.subplots(1, 2), verbs.items(), strict=True):
        for (name, kinds), (color, style) in zip(curves.items(), LINES, strict=True):
            axes.plot(share, kinds[kind].mean(axis=0), style, color=color, label=name)
        axes.set(title=kind.capitalize(), xlabel=f"share of the image {verb}", xlim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)

    lines = figure.axes[0].get_legend_handles_labels()
    figure.axes[0].set_ylabel("mean probability of the class")
    figure.legend(*lines, loc="outside lower center", ncols=len(curves), frameon=False)
    return figure
