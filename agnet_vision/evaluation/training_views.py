"""The first training views of a run on one sheet.

It shows wrong crops, missed objects and spoiled colors before hours of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.errors import AGNetError
from agnet_vision.evaluation.charts import save_png
from agnet_vision.explain.overlays import GROUP_COLORS, class_label, outline_box

VIEWS = 16
SHEET_COLUMNS = 8


class TrainingView(NamedTuple):
    """One augmented image as the network sees it, with the normalization taken back."""

    pixels: UInt8[np.ndarray, "side side 3"]
    boxes: Float[np.ndarray, "regions 4"]  # of the primary regions, as fractions of the view
    class_name: str


def first_views(data: AGNetDataModule, count: int = VIEWS) -> list[TrainingView]:
    """Make the views that the first epoch begins with, at most ``count``.

    The loader of ``data``, which must be prepared, is left as it was.
    """
    loader = data.train_dataloader()
    normalize = data.transforms["train"].normalize
    views = []
    for item in (loader.dataset[draw] for draw in islice(loader.sampler, count)):
        if isinstance(item, AGNetError):
            raise item
        boxes = np.zeros((0, 4), np.float32)
        if data.proposer is not None:
            primary = data.proposer.num_clusters
            boxes = item["boxes"][:primary][item["mask"][:primary]].numpy()
        name = data.table.classes[item["label"]]
        views.append(TrainingView(normalize.undo(item["image"]), boxes, name))
    return views


def draw_views(views: Sequence[TrainingView]) -> Figure:
    """Lay views out in rows of eight, each under its class."""
    columns = min(SHEET_COLUMNS, len(views))
    rows = -(-len(views) // SHEET_COLUMNS)
    side = len(views[0].pixels)
    gap = side // 6  # above a view, for the name; half of it between neighbors
    width, height = side + gap // 2, side + gap
    figure = Figure(figsize=(1.6 * columns, 1.6 * columns * rows * height / (columns * width)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()

    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for number, view in enumerate(views):
        x, y = number % SHEET_COLUMNS * width, number // SHEET_COLUMNS * height + gap
        sheet[y : y + side, x : x + side] = view.pixels
        for slot, box in enumerate(view.boxes * side + [x, y, x, y]):
            outline_box(axes, box, GROUP_COLORS[slot % len(GROUP_COLORS)], linewidth=1.2)
        latin = view.class_name.encode("latin-1", "replace").decode("latin-1")  # the font's letters
        axes.text(x, y - gap / 4, class_label(latin), fontsize=7)
    axes.imshow(sheet)
    return figure


def save_views(data: AGNetDataModule, path: Path) -> None:
    """Write the sheet of the first views as PNG."""
    save_png(draw_views(first_views(data)), path)
