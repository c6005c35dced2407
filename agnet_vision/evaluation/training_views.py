"""The first training views of a run on one sheet.

Shows wrong crops, missed objects and spoiled colors before hours of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.errors import AGNetError
from agnet_vision.explain.overlays import GROUP_COLORS
from agnet_vision.files import open_atomically

VIEWS = 16
_COLUMNS = 8
_SIDE = 176  # pixels: one view
_CAPTION, _GAP = 16, 6
_LETTERS = 26  # of a class's name


class TrainingView(NamedTuple):
    """One augmented image as the network sees it.

    Attributes:
        pixels: 8-bit RGB, normalization taken back.
        boxes: of its primary regions, as fractions of the view; empty where there are none.
        class_name: what it is trained as.
    """

    pixels: UInt8[np.ndarray, "side side 3"]
    boxes: Float[np.ndarray, "regions 4"]
    class_name: str


def first_views(data: AGNetDataModule, count: int = VIEWS) -> list[TrainingView]:
    """Make the views that the first epoch begins with.

    Args:
        data: prepared; its loader is left as it was.
        count: at most so many.
    """
    loader, normalize = data.train_dataloader(), data.transforms["train"].normalize
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


def draw_views(views: Sequence[TrainingView]) -> Image.Image:
    """Lay views out in rows of eight, above their classes."""
    columns, rows = min(_COLUMNS, len(views)), -(-len(views) // _COLUMNS)
    cell = (_SIDE + _GAP, _SIDE + _CAPTION + _GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, view in enumerate(views):
        x = number % _COLUMNS * cell[0] + _GAP
        y = number // _COLUMNS * cell[1] + _GAP
        sheet.paste(Image.fromarray(view.pixels).resize((_SIDE, _SIDE)), (x, y))
        for slot, box in enumerate(view.boxes.tolist()):
            color = GROUP_COLORS[slot % len(GROUP_COLORS)]
            edges = [
                start + side * (_SIDE - 1) for start, side in zip((x, y) * 2, box, strict=True)
            ]
            draw.rectangle(edges, outline=color, width=2)
        draw.text((x, y + _SIDE + 2), _caption(view.class_name), fill="black")
    return sheet


def save_views(data: AGNetDataModule, path: Path) -> None:
    """Write the sheet as PNG."""
    with open_atomically(path) as file:
        draw_views(first_views(data)).save(file, format="png")


def _caption(name: str) -> str:
    """Shorten a class's name.

    The drawing font has Latin letters only.
    """
    name = name.replace("_", " ").encode("latin-1", "replace").decode("latin-1")
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 3]}..."
