"""The figures of docs/regions.md: keypoints, groups and boxes on freely licensed photographs.

python tools/benchmark.py regions --figures docs/images
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import cbook, pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from sklearn.datasets import load_sample_image

from agnet_vision.data.image import read_image
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.keypoints import detect
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import RGBImage

COLORS = pyplot.get_cmap("tab10").colors  # type: ignore[attr-defined]
SHOWN_PAIRS = 6  # 28 boxes on top of each other show nothing


def sample_images() -> dict[str, RGBImage]:
    """Load images that installed packages carry and that may be redistributed."""
    return {
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
        "hopper": read_image(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)),
    }


def draw_figures(folder: Path) -> None:
    """Draw one row of panels per image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in sample_images().items():
        panels, axes = pyplot.subplots(
            1, 4, figsize=(16, 16 / 4 * image.shape[0] / image.shape[1] + 0.4)
        )
        draw_stages(axes, image)
        panels.tight_layout(pad=0.4)
        panels.savefig(folder / f"regions_{name}.png", dpi=75)
        pyplot.close(panels)


def draw_stages(axes: np.ndarray, image: RGBImage) -> None:
    """Draw all keypoints and the strongest half, groups and boxes."""
    height, width = image.shape[:2]
    everything, _ = detect(image, keep_fraction=1)
    proposer = RegionProposer()
    points = proposer.keypoints(image)
    boxes, mask = boxes_from_keypoints(points.xy, points.group, (width, height))
    pixels = boxes * (width, height, width, height)
    colors = [COLORS[label] for label in points.group]

    _show(axes[0], image, f"{len(everything)} keypoints, strongest {len(points.xy)} filled")
    axes[0].scatter(*everything.T, s=10, facecolors="none", edgecolors="yellow", linewidths=0.5)
    axes[0].scatter(*points.xy.T, s=7, color="red")

    _show(axes[1], image, f"{len(set(points.group))} groups")
    axes[1].scatter(*points.xy.T, s=9, c=colors)

    _show(axes[2], image, f"{mask[:8].sum()} primary regions")
    axes[2].scatter(*points.xy.T, s=3, c=colors)
    for slot in np.flatnonzero(mask[:8]):
        _draw_box(axes[2], pixels[slot], COLORS[slot], "-")
        axes[2].text(
            *pixels[slot, :2],
            str(slot + 1),
            color="white",
            backgroundcolor=COLORS[slot],
            fontsize=8,
            va="top",
        )

    pairs = np.flatnonzero(mask[8:-1]) + 8
    _show(axes[3], image, f"{SHOWN_PAIRS} of {len(pairs)} secondary regions, and the whole image")
    for index, slot in enumerate(pairs[:: max(1, len(pairs) // SHOWN_PAIRS)][:SHOWN_PAIRS]):
        _draw_box(axes[3], pixels[slot], COLORS[index], "--")
    _draw_box(axes[3], pixels[-1], "white", "-")


def _show(axes: Axes, image: RGBImage, title: str) -> None:
    height, width = image.shape[:2]
    # Continuous coordinates: the frame is [0, W] x [0, H].
    axes.imshow(image, extent=(0, width, height, 0), alpha=0.8)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def _draw_box(axes: Axes, box: np.ndarray, color: object, style: str) -> None:
    x0, y0, x1, y1 = box
    axes.add_patch(
        Rectangle(
            (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color, linestyle=style, linewidth=1.6
        )
    )
