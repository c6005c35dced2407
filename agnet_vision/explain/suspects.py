"""Where a network's evidence lies, over many images: the most concentrated first.

Evidence that gathers in one small place of an image may come from a watermark, a label or a
person, which no score tells. Nothing is marked and nothing is learned here: the exact evidence of
each cell for the class an image is given, less its mean over the classes (which a softmax does not
see), is added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn.functional import avg_pool2d

from agnet_vision.data.image import read_image
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.evidence import cell_embeddings
from agnet_vision.predict.prepared import Preparation, PreparedImage, batch_of

BATCH = 4  # images; what cells bring to each channel is large
# Ours: cells see their neighborhood, so evidence for a small thing lies around it. On one network
# with painted labels of 3 % of the area, smaller boxes held few of them.
BOX_SIDE = 0.4


class Suspect(NamedTuple):
    """An image, and the box that holds the most of its positive evidence.

    Attributes:
        box: ``(x0, y0, x1, y1)`` in fractions of the image.
        share: part of the positive evidence that lies in the box.
        target: index of the class the image is given, which the evidence is for.
        cells: evidence of each cell of the map.
        feature: what the cells of the box bring to the last layer.
        outside_hull: part of the positive evidence outside the keypoints' convex hull; None where
            there are fewer than three keypoints.
    """

    path: Path
    box: tuple[float, float, float, float]
    share: float
    target: int
    cells: Float[np.ndarray, "map_height map_width"]
    feature: Float[np.ndarray, " channels"]
    outside_hull: float | None


@torch.no_grad()
def find_suspects(model: AGNet, paths: Iterable[Path]) -> list[Suspect]:
    """Find where the evidence of images lies, the most concentrated first.

    Args:
        model: network for one label per image; it is put into evaluation mode.
        paths: files of the images.

    Raises:
        ImageReadError: a file is no image.
    """
    model.eval()
    device = next(model.parameters()).device
    preparation = Preparation(model)
    weight, _ = model.head.classifier.folded()
    weight = weight - weight.mean(dim=0)

    found: list[Suspect] = []
    reading = iter(paths)
    while batch := list(islice(reading, BATCH)):
        prepared = preparation([read_image(path) for path in batch])
        inputs, regions = batch_of(prepared)
        feature_map = model.forward_features(inputs.to(device))
        target = model.head(feature_map, regions.to(device)).argmax(dim=1)
        parts = cell_embeddings(model.head, feature_map, regions.to(device))
        cells = torch.einsum("bhwc,bc->bhw", parts, weight[target])
        rows = zip(batch, prepared, target.tolist(), cells.cpu(), parts.cpu(), strict=True)
        found += [_suspect(*row) for row in rows]
    return sorted(found, key=lambda suspect: -suspect.share)


def _suspect(
    path: Path, prepared: PreparedImage, target: int, cells: torch.Tensor, parts: torch.Tensor
) -> Suspect:
    """Find the box of an image that holds the most of its positive evidence."""
    size = [max(1, round(BOX_SIDE * cells_along)) for cells_along in cells.shape]
    positive = cells.clamp(min=0)
    total = max(float(positive.sum()), torch.finfo(cells.dtype).tiny)
    sums = avg_pool2d(positive[None], size, stride=1)[0] * size[0] * size[1]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    inside = np.s_[top : top + size[0], left : left + size[1]]

    outside = ~_hull(prepared, cells.shape)
    return Suspect(
        path=path,
        box=_in_image(prepared, left, top, left + size[1], top + size[0], cells.shape),
        share=float(positive[inside].sum()) / total,
        target=target,
        cells=cells.numpy(),
        feature=parts[inside].sum(dim=(0, 1)).numpy(),
        outside_hull=None if outside.all() else float(positive.numpy()[outside].sum()) / total,
    )


def _in_image(
    prepared: PreparedImage, x0: int, y0: int, x1: int, y1: int, shape: Sequence[int]
) -> tuple[float, float, float, float]:
    """Move a box from cells of the map to fractions of the image, cut to it."""
    start, stop = np.reshape(prepared.frame, (2, 2))
    size = np.array(prepared.image.shape[1::-1])
    corners = np.array([[x0, y0], [x1, y1]]) / (shape[1], shape[0])
    (left, top), (right, bottom) = ((start + corners * (stop - start)) / size).clip(0, 1).tolist()
    return left, top, right, bottom


def _hull(prepared: PreparedImage, shape: Sequence[int]) -> Bool[np.ndarray, "height width"]:
    """Tell which cells have their middle in the convex hull of the keypoints; none without one."""
    inside = np.zeros(shape, dtype=bool)
    points = prepared.keypoints.xy
    if len(points) < 3:
        return inside
    hull = cv2.convexHull(points.astype(np.float32))
    x0, y0, x1, y1 = prepared.frame
    for row, column in np.ndindex(*shape):
        x = x0 + (column + 0.5) / shape[1] * (x1 - x0)
        y = y0 + (row + 0.5) / shape[0] * (y1 - y0)
        inside[row, column] = cv2.pointPolygonTest(hull, (x, y), measureDist=False) >= 0
    return inside
