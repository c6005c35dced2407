"""Whether evidence lies on what it should: its energy inside boxes, and the pointing game.

Energy is the share of the positive evidence for a label inside the label's boxes (Wang et al.,
Score-CAM, 2020, of heat maps); the pointing game (Zhang et al., 2016) asks whether the strongest
cell has its middle in one of them. By chance, both are the boxes' share of what the network sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from agnet_vision.data.image import read_image
from agnet_vision.data.marks import COORDINATES, Box, box_in_pixels, check_box, read_box
from agnet_vision.data.sources.layouts.lists import read_rows
from agnet_vision.errors import DatasetError
from agnet_vision.evaluation.statistics import Interval, mean_interval
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import class_names

FINE = 16  # points per side of a cell that boxes are compared at

LabelBoxes = dict[str | None, list[Box]]  # label -> boxes; None: of the predicted class


class Pointed(NamedTuple):
    """One label of one image.

    Attributes:
        energy: share of the positive evidence inside its boxes; NaN where there is none.
        hit: whether the strongest cell has its middle in a box.
        area: share of what the network sees that the boxes cover.
    """

    label: str
    energy: float
    hit: bool
    area: float


class Pointing(NamedTuple):
    """The images of one label together; ``chance`` is the mean area of the boxes."""

    images: int
    energy: Interval
    pointing: Interval
    chance: float

    def plain(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            **self._asdict(),
            "energy": self.energy.plain(),
            "pointing": self.pointing.plain(),
        }


def read_boxes(path: Path, classes: Iterable[str]) -> dict[str, LabelBoxes]:
    """Read boxes of images, by their path and label.

    Args:
        path: CSV with the columns ``path,x0,y0,x1,y1`` and perhaps ``label``; a box is in fractions
            of the image, or in pixels where a number is over 1.
        classes: names that a label may have.

    Raises:
        DatasetError: the file is missing or damaged, or a row is no box or of an unknown label.
    """
    classes = set(classes)
    boxes: dict[str, LabelBoxes] = defaultdict(lambda: defaultdict(list))
    for number, row in read_rows(path, ("path", *COORDINATES), optional=("label",)):
        label = row.get("label") or None
        where = f"{path}, line {number}"
        box = read_box(row, where)
        check_box(box, where)
        if label is not None and label not in classes:
            raise DatasetError(f"{where}: the network has no class {label!r}")
        boxes[row["path"].replace("\\", "/")][label].append(box)
    return boxes


def point(model: AGNet, paths: Iterable[Path], boxes: Iterable[LabelBoxes]) -> list[Pointed]:
    """Compare the evidence for each label of images with the label's boxes.

    Args:
        model: network in evaluation mode.
        paths: paths of the images.
        boxes: boxes of each; under None, they are of the class that is predicted.

    Raises:
        DatasetError: a box lies outside its image.
    """
    found = []
    for path, of_label in zip(paths, boxes, strict=True):
        image = read_image(path)
        for label, own in of_label.items():
            pixels = [box_in_pixels(box, image, "the image", str(path)) for box in own]
            explanation = explain(model, image, label=label)
            covered = covered_by(explanation, pixels)
            inside = covered.mean(axis=(1, 3))
            positive = explanation.cells.clip(min=0)
            total = float(positive.sum())
            energy = float((positive * inside).sum()) / total if total else float("nan")
            row, column = np.unravel_index(explanation.cells.argmax(), positive.shape)
            hit = bool(covered[row, FINE // 2, column, FINE // 2])
            name = label or class_names(model)[explanation.target]
            found.append(Pointed(name, energy, hit, float(covered.mean())))
    return found


def covered_by(
    explanation: Explanation, boxes: Iterable[Float[np.ndarray, " 4"]]
) -> Bool[np.ndarray, "map_height fine map_width fine"]:
    """Tell which points of the cells of a map lie in one of the boxes, in pixels of the image."""
    x0, y0, x1, y1 = explanation.frame
    rows, columns = explanation.cells.shape
    x = x0 + (x1 - x0) * (np.arange(columns * FINE) + 0.5) / (columns * FINE)
    y = y0 + (y1 - y0) * (np.arange(rows * FINE) + 0.5) / (rows * FINE)

    covered = np.zeros((rows * FINE, columns * FINE), dtype=bool)
    for left, top, right, bottom in boxes:
        covered |= ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    return covered.reshape(rows, FINE, columns, FINE)


def summarize_pointing(found: Iterable[Pointed]) -> dict[str, Pointing]:
    """Average over the images of each label, and over all, with 95 % intervals."""
    by_label: dict[str, list[Pointed]] = defaultdict(list)
    for each in found:
        by_label[each.label].append(each)
        by_label["all"].append(each)
    return {
        label: Pointing(
            len(rows),
            _share([row.energy for row in rows]),
            _share([float(row.hit) for row in rows]),
            float(np.mean([row.area for row in rows])),
        )
        for label, rows in sorted(by_label.items(), key=lambda pair: (pair[0] != "all", pair[0]))
    }


def _share(values: list[float]) -> Interval:
    """Average the shares that are known; the interval ends at 0 and 1."""
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    return Interval(*np.clip(mean_interval(known), 0, 1).tolist())
