"""The first training views of a run on one sheet.

It shows wrong crops, missed objects and spoiled colors before hours of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.errors import AGNetError
from agnet_vision.explain.overlays import GROUP_COLORS, class_label, outline_box

VIEWS = 16
SHEET_COLUMNS = 8
TITLE_COLOR = "#808080"  # readable on a light page and on a dark one


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
        name = data.table.task.text(item["label"].tolist(), data.table.classes)
        views.append(TrainingView(normalize.undo(item["image"]), boxes, name))
    return views


def draw_views(views: Sequence[TrainingView]) -> Figure:
    """Lay views out in rows of eight, each under its class."""
    columns, rows = min(SHEET_COLUMNS, len(views)), -(-len(views) // SHEET_COLUMNS)
    figure = Figure(figsize=(1.6 * columns, 1.75 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()

    for axes, view in zip(figure.axes, views, strict=False):
        axes.imshow(view.pixels)
        for slot, box in enumerate(view.boxes * len(view.pixels) - 0.5):
            outline_box(axes, box, GROUP_COLORS[slot % len(GROUP_COLORS)], linewidth=1.2)
        latin = view.class_name.encode("latin-1", "replace").decode("latin-1")  # the font's letters
        axes.set_title(class_label(latin), fontsize=8, color=TITLE_COLOR)
    return figure
