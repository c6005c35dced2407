"""Bilinear pooling of regions, as one matrix product.

Bilinear sampling is linear in the map, and its weights are an outer product of two per-axis
weights. So pooling is a (R p^2, H W) x (H W, C) product: deterministic in its backward, parallel on
the CPU, exported everywhere as plain operators. It equals torchvision's ``roi_align(aligned=True,
sampling_ratio=1)``, which the tests keep as the oracle.

Enlarging a map is as linear, along each axis by itself. So pooling from a map that was first
enlarged to ``upsample x upsample`` cells takes other weights and no enlarged map.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pool_regions(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    pool_size: int = 7,
    upsample: int | None = None,
) -> Float[Tensor, "batch regions bins channels"]:
    """Sample the map at the center of each bin of every box, bilinearly.

    Bins come row by row: of a p x p grid, bin ``p * i + j`` is row i, column j. With ``upsample``
    it is the map as ``interpolate(map, (upsample, upsample), mode="bilinear")`` gives it.
    """
    height, width = feature_map.shape[-2:]
    weights = sampling_weights(boxes, height, width, pool_size, upsample)
    positions = feature_map.flatten(2).transpose(1, 2)  # (batch, positions, channels)
    pooled = torch.bmm(weights.flatten(1, 2).to(positions.dtype), positions)
    return pooled.unflatten(1, weights.shape[1:3])


def pool_region_means(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    pool_size: int = 7,
    upsample: int | None = None,
) -> Float[Tensor, "batch regions channels"]:
    """Average what ``pool_regions`` returns over the bins, by averaging its weights."""
    height, width = feature_map.shape[-2:]
    x0, y0, x1, y1 = boxes.unbind(-1)
    rows = axis_weights(y0, y1, height, pool_size, upsample).mean(dim=2)  # (batch, regions, height)
    columns = axis_weights(x0, x1, width, pool_size, upsample).mean(
        dim=2
    )  # (batch, regions, width)
    weights = (rows[:, :, :, None] * columns[:, :, None, :]).flatten(2)
    return torch.bmm(weights.to(feature_map.dtype), feature_map.flatten(2).transpose(1, 2))


def sampling_weights(
    boxes: Float[Tensor, "batch regions 4"],
    height: int,
    width: int,
    pool_size: int,
    upsample: int | None = None,
) -> Float[Tensor, "batch regions bins positions"]:
    """Compute the weight of each cell of the map, row by row, in every bin; a bin's sum to one."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    rows = axis_weights(y0, y1, height, pool_size, upsample)  # (batch, regions, p, height)
    columns = axis_weights(x0, x1, width, pool_size, upsample)  # (batch, regions, p, width)
    # (batch, regions, p, p, height, width)
    weights = rows[:, :, :, None, :, None] * columns[:, :, None, :, None, :]
    return weights.flatten(4).flatten(2, 3)


def axis_weights(
    low: Float[Tensor, "*boxes"],
    high: Float[Tensor, "*boxes"],
    size: int,
    num_bins: int,
    upsample: int | None = None,
) -> Float[Tensor, "*boxes num_bins size"]:
    """Compute the weight of each cell of one axis in every bin, by linear interpolation.

    Each bin is sampled at its center; beyond the center of an outer cell it takes that cell.

    Args:
        low: start of each box as a fraction of the axis.
        high: end of each box as a fraction of the axis.
        size: number of cells of the map along the axis.
        num_bins: number of bins along the axis.
        upsample: number of cells that the axis is enlarged to first; None: as it is.
    """
    if upsample is not None:
        enlarged = axis_weights(low.new_zeros(()), low.new_ones(()), size, upsample)
        return axis_weights(low, high, upsample, num_bins) @ enlarged

    bins = (torch.arange(num_bins, device=low.device, dtype=low.dtype) + 0.5) / num_bins
    centers = ((low[..., None] + (high - low)[..., None] * bins) * size - 0.5).clamp(0, size - 1)
    cells = torch.arange(size, device=low.device, dtype=low.dtype)
    return (1 - (centers[..., None] - cells).abs()).clamp(min=0)
