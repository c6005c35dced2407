"""The pooling product, reading only the four cells with weight.

A quarter of the product's time on a 7 x 7 map, a sixteenth on 14 x 14; the processor's way, used by
``region_passes``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from agnet_vision.models.layers.region_pooling import axis_centers


def sampled_cells(
    boxes: Float[Tensor, "batch regions 4"], height: int, width: int, pool_size: int
) -> tuple[Int[Tensor, "batch regions bins 4"], Float[Tensor, "batch regions bins 4"]]:
    """Find the four cells around each bin's center, with weights.

    Args:
        boxes: ``(x0, y0, x1, y1)`` as fractions of width and height.
        height: of the map, in cells.
        width: likewise.
        pool_size: p, the side of a region's grid of bins.

    Returns:
        Rows of the maps' positions written below each other, image by image; and interpolation
        weights.
    """
    x0, y0, x1, y1 = boxes.unbind(-1)
    y, y_weights = _two_cells(axis_centers(y0, y1, height, pool_size), height)
    x, x_weights = _two_cells(axis_centers(x0, x1, width, pool_size), width)
    image = torch.arange(len(boxes), device=boxes.device).reshape(-1, 1, 1, 1, 1, 1)
    # (batch, regions, p, p, 2, 2)
    cells = (image * height + y[:, :, :, None, :, None]) * width + x[:, :, None, :, None, :]
    weights = y_weights[:, :, :, None, :, None] * x_weights[:, :, None, :, None, :]
    return cells.flatten(4).flatten(2, 3), weights.flatten(4).flatten(2, 3)


def gather_cells(
    positions: Float[Tensor, "positions channels"],
    cells: Int[Tensor, "batch regions bins 4"],
    weights: Float[Tensor, "batch regions bins 4"],
) -> Float[Tensor, "batch regions bins channels"]:
    """Sum four weighted cells for each bin.

    Args:
        positions: the maps' cells written below each other, image by image, row by row.
        cells: rows of ``positions``, from ``sampled_cells``.
        weights: of those cells.
    """
    bins = embedding_bag(
        cells.reshape(-1, 4), positions, per_sample_weights=weights.reshape(-1, 4), mode="sum"
    )
    return bins.view(*cells.shape[:3], positions.shape[1])


def _two_cells(centers: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the cells beside each center, with their weights.

    A center that is NaN gets an arbitrary cell with NaN as its weight.
    """
    low = centers.floor()
    cells = low.nan_to_num().long()
    neighbors = torch.stack([cells, (cells + 1).clamp(max=size - 1)], dim=-1)
    fraction = centers - low
    return neighbors, torch.stack([1 - fraction, fraction], dim=-1)
