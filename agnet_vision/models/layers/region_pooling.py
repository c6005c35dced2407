"""Bilinear pooling of each region to a fixed grid, written as one matrix product with the map.

Bilinear sampling is linear in the map, and its weights are an outer product of two per-axis weights. So pooling is a
(R p^2, H W) x (H W, C) product: deterministic in its backward, parallel on the CPU, exported everywhere as plain
operators. It equals torchvision's ``roi_align(aligned=True, sampling_ratio=1)``, which the tests keep as the oracle.

Four weights of a row are not zero. Where nothing is differentiated the CPU reads those four cells alone, with the product's
values: a quarter of its time on a 7 x 7 map, a sixteenth on 14 x 14. Training on the CPU does so too (``region_passes``).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag


def pool_regions(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    pool_size: int = 7,
) -> Float[Tensor, "batch regions bins channels"]:
    """Sample the map bilinearly at the centres of a ``pool_size`` x ``pool_size`` grid in every box.

    Args:
        feature_map: the backbone's map.
        boxes: ``(x0, y0, x1, y1)`` as fractions of width and height (see ``agnet_vision.structures``).
        pool_size: p; 7 (paper).

    Returns:
        The pooled bins, row by row: bin ``p * i + j`` is row i, column j of the box.
    """
    _, _, height, width = feature_map.shape
    x0, y0, x1, y1 = boxes.unbind(-1)
    if is_plain_prediction(feature_map):
        cells, cell_weights = sampled_cells(boxes, height, width, pool_size)
        positions = feature_map.permute(0, 2, 3, 1).flatten(0, 2)
        return gather_cells(positions, cells, cell_weights.to(feature_map.dtype))
    rows = axis_weights(y0, y1, height, pool_size)  # (batch, regions, p, height)
    columns = axis_weights(x0, x1, width, pool_size)  # (batch, regions, p, width)
    weights = (
        rows[:, :, :, None, :, None] * columns[:, :, None, :, None, :]
    )  # (batch, regions, p, p, height, width)
    weights = weights.flatten(4).flatten(1, 3)  # (batch, regions * bins, positions)
    positions = feature_map.flatten(2).transpose(1, 2)  # (batch, positions, channels)
    return torch.bmm(weights.to(positions.dtype), positions).unflatten(
        1, (boxes.shape[1], pool_size**2)
    )


def is_plain_prediction(tensor: Tensor) -> bool:
    """Tell whether a float32 tensor on the CPU is used as it is: nothing differentiated, compiled, exported or cast."""
    plain = (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )
    return plain and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def pool_region_means(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    pool_size: int = 7,
) -> Float[Tensor, "batch regions channels"]:
    """Average ``pool_regions`` over the bins, without forming them: the same product with averaged weights."""
    _, _, height, width = feature_map.shape
    x0, y0, x1, y1 = boxes.unbind(-1)
    rows = axis_weights(y0, y1, height, pool_size).mean(dim=2)  # (batch, regions, height)
    columns = axis_weights(x0, x1, width, pool_size).mean(dim=2)  # (batch, regions, width)
    weights = (rows[:, :, :, None] * columns[:, :, None, :]).flatten(
        2
    )  # (batch, regions, positions)
    return torch.bmm(weights.to(feature_map.dtype), feature_map.flatten(2).transpose(1, 2))


def axis_weights(
    low: Float[Tensor, "batch regions"],
    high: Float[Tensor, "batch regions"],
    size: int,
    num_bins: int,
) -> Float[Tensor, "batch regions num_bins size"]:
    """Weigh the ``size`` cells of one axis for a sample at the centre of each of ``num_bins`` bins of ``[low, high]``.

    Args:
        low: start of each box as a fraction of the axis.
        high: end of each box as a fraction of the axis.
        size: number of cells of the map along the axis.
        num_bins: p.

    Returns:
        Linear interpolation weights, each row summing to one; samples beyond the outer cell centres take the outer cell.
    """
    centres = axis_centres(low, high, size, num_bins)
    cells = torch.arange(size, device=low.device, dtype=low.dtype)
    return (1 - (centres[..., None] - cells).abs()).clamp(min=0)


def axis_centres(
    low: Float[Tensor, "batch regions"],
    high: Float[Tensor, "batch regions"],
    size: int,
    num_bins: int,
) -> Float[Tensor, "batch regions num_bins"]:
    """Place the samples of ``axis_weights`` along the axis, in cells: cell j has its centre at j."""
    bins = (torch.arange(num_bins, device=low.device, dtype=low.dtype) + 0.5) / num_bins
    return ((low[..., None] + (high - low)[..., None] * bins) * size - 0.5).clamp(0, size - 1)


def sampled_cells(
    boxes: Float[Tensor, "batch regions 4"], height: int, width: int, pool_size: int
) -> tuple[Int[Tensor, "batch regions bins 4"], Float[Tensor, "batch regions bins 4"]]:
    """Find the four cells around each sample, and their weights: the non-zero entries of the product.

    Args:
        boxes: as for ``pool_regions``.
        height: of the map.
        width: of the map.
        pool_size: p.

    Returns:
        Rows of the maps' positions written below each other, image by image; and interpolation weights.
    """
    x0, y0, x1, y1 = boxes.unbind(-1)
    y, y_weights = _two_cells(axis_centres(y0, y1, height, pool_size), height)
    x, x_weights = _two_cells(axis_centres(x0, x1, width, pool_size), width)
    image = torch.arange(len(boxes), device=boxes.device).reshape(-1, 1, 1, 1, 1, 1) * (
        height * width
    )
    cells = (
        image + y[:, :, :, None, :, None] * width + x[:, :, None, :, None, :]
    )  # (batch, regions, p, p, 2, 2)
    weights = y_weights[:, :, :, None, :, None] * x_weights[:, :, None, :, None, :]
    return cells.flatten(4).flatten(2, 3), weights.flatten(4).flatten(2, 3)


def gather_cells(
    positions: Float[Tensor, "positions channels"],
    cells: Int[Tensor, "batch regions bins 4"],
    weights: Float[Tensor, "batch regions bins 4"],
) -> Float[Tensor, "batch regions bins channels"]:
    """Sum four weighted cells for each bin."""
    bins = embedding_bag(
        cells.reshape(-1, 4), positions, per_sample_weights=weights.reshape(-1, 4), mode="sum"
    )
    return bins.view(*cells.shape[:3], positions.shape[1])


def _two_cells(centres: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the cells on both sides of each centre, and their weights; of a NaN some cell, and NaN as its weight."""
    low = centres.floor()
    cells = low.nan_to_num().long()
    fraction = centres - low
    return torch.stack([cells, (cells + 1).clamp(max=size - 1)], dim=-1), torch.stack(
        [1 - fraction, fraction], dim=-1
    )
