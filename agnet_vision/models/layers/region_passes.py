"""Two differentiable functions that use phi without holding it.

phi of 37 regions is 15 MB an image with ResNet-50, and in training autograd would keep it, and
several tensors of its size, from the forward to the backward pass. Both things the head does with
phi are linear in it: products with a few long vectors (``project_regions``) and a weighted sum over
the regions (``sum_regions``). So each pass pools and gates a few bins of all images at a time, uses
them while they are in the processor's cache and drops them. The backward pass makes them again.

The results and gradients are those of ``pool_regions`` and the plain formulas. The boxes get no
gradient, and gradients of gradients are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from agnet_vision.models.layers.fast_linear import fast_linear
from agnet_vision.models.layers.region_cells import gather_cells, sampled_cells

# Of phi made at a time (ours): large enough for the matrix products, small enough for the cache.
PART_BYTES = 10 * 2**20


def project_regions(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    gates: Float[Tensor, "batch regions channels"],
    weight: Float[Tensor, "outputs features"],
    pool_size: int,
) -> Float[Tensor, "batch regions outputs"]:
    """Compute ``phi @ weight.T`` with phi flattened bin by bin.

    Args:
        feature_map: float32 or float64 on the CPU.
        boxes: as fractions of width and height; they get no gradient.
        gates: of each region's channels; ``phi_r = x_r * (1 + gate_r)``.
        weight: a row an output, its columns bin by bin, each with all channels.
        pool_size: p, the side of a region's grid of bins.
    """
    outputs: Tensor = _ProjectRegions.apply(feature_map, boxes, gates, weight, pool_size)
    return outputs


def sum_regions(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    gates: Float[Tensor, "batch regions channels"],
    coefficients: Float[Tensor, "batch regions"],
    pool_size: int,
) -> Float[Tensor, "batch bins channels"]:
    """Compute ``sum_r coefficients_r * phi_r``.

    Args:
        feature_map: float32 or float64 on the CPU.
        boxes: as fractions of width and height; they get no gradient.
        gates: of each region's channels.
        coefficients: of each region; 0 leaves it out.
        pool_size: p, the side of a region's grid of bins.
    """
    descriptor: Tensor = _SumRegions.apply(feature_map, boxes, gates, coefficients, pool_size)
    return descriptor


class _Part(NamedTuple):
    """A few bins of a few images, of all regions."""

    images: slice
    bins: slice


class _Pooling:
    """Pooling of regions part by part, with gradients taken back."""

    def __init__(self, feature_map: Tensor, boxes: Tensor, pool_size: int) -> None:
        self.batch, _, self.height, self.width = feature_map.shape
        # (batch * positions, channels)
        self.positions = feature_map.permute(0, 2, 3, 1).flatten(0, 2).contiguous()
        # (batch, regions, bins, 4)
        self.cells, weights = sampled_cells(boxes, self.height, self.width, pool_size)
        self.weights = weights.to(feature_map.dtype)

    def parts(self) -> Iterator[_Part]:
        """Divide the work."""
        _, regions, bins, _ = self.cells.shape
        one = regions * self.positions.shape[1] * self.positions.element_size()  # a bin of an image
        images_at_a_time = max(min(PART_BYTES // one, self.batch), 1)
        bins_at_a_time = max(PART_BYTES // (one * images_at_a_time), 1)
        for image in range(0, self.batch, images_at_a_time):
            for start in range(0, bins, bins_at_a_time):
                yield _Part(
                    slice(image, image + images_at_a_time),
                    slice(start, min(start + bins_at_a_time, bins)),
                )

    def pool(self, part: _Part) -> Float[Tensor, "images regions bins channels"]:
        """Pool the bins of a part."""
        images, bins = part
        return gather_cells(
            self.positions, self.cells[images, :, bins], self.weights[images, :, bins]
        )

    def add_to_map(
        self,
        map_gradient: Float[Tensor, "cells channels"],
        part: _Part,
        gradient: Float[Tensor, "images regions bins channels"],
    ) -> None:
        """Add bins' gradients to their cells, always in one order."""
        images, bins = part
        cells, order = self.cells[images, :, bins].flatten().sort(stable=True)
        weights = self.weights[images, :, bins].flatten()[order]
        starts = torch.searchsorted(cells, torch.arange(len(self.positions)))
        rows = gradient.flatten(0, 2)
        map_gradient += embedding_bag(
            order // 4, rows, starts, per_sample_weights=weights, mode="sum"
        )

    def as_map(
        self, map_gradient: Float[Tensor, "cells channels"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Bring a gradient of positions into the map's shape."""
        return map_gradient.unflatten(0, (self.batch, self.height, self.width)).permute(0, 3, 1, 2)


class _Passes(Function):
    """The inputs, and no features, kept for the backward pass."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the four tensors and the grid."""
        ctx.save_for_backward(*inputs[:4])
        ctx.pool_size = inputs[4]


class _ProjectRegions(_Passes):
    """``phi @ weight.T``."""

    @staticmethod
    def forward(
        feature_map: Tensor, boxes: Tensor, gates: Tensor, weight: Tensor, pool_size: int
    ) -> Tensor:
        """Add up the product part by part."""
        pooling, scale = _Pooling(feature_map, boxes, pool_size), _scale(gates)
        outputs = gates.new_zeros(*gates.shape[:2], len(weight))
        for part in pooling.parts():
            features = pooling.pool(part).mul_(scale[part.images])
            outputs[part.images] += fast_linear(
                features.flatten(2), _columns(weight, part, gates.shape[2])
            )
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Pool and drop each part again, without gradients of boxes."""
        feature_map, boxes, gates, weight = ctx.saved_tensors
        pooling, scale = _Pooling(feature_map, boxes, ctx.pool_size), _scale(gates)
        map_gradient = torch.zeros_like(pooling.positions)
        gates_gradient = torch.zeros_like(scale[:, :, 0])
        weight_gradient = torch.zeros_like(weight)
        for part in pooling.parts():
            features = pooling.pool(part).mul_(scale[part.images])
            rows = gradient[part.images].flatten(0, 1)  # (images * regions, outputs)
            _columns(weight_gradient, part, gates.shape[2]).addmm_(
                rows.T, features.flatten(2).flatten(0, 1)
            )
            by_features = (rows @ _columns(weight, part, gates.shape[2])).view_as(features)
            for bin_features, bin_gradient in zip(
                features.unbind(2), by_features.unbind(2), strict=True
            ):
                gates_gradient[part.images].addcmul_(bin_features, bin_gradient)
            pooling.add_to_map(map_gradient, part, by_features.mul_(scale[part.images]))
        # So far against phi, which is the pooled bin times the scale.
        gates_gradient /= scale[:, :, 0]
        return pooling.as_map(map_gradient), None, gates_gradient, weight_gradient, None


class _SumRegions(_Passes):
    """``sum_r coefficients_r * phi_r``."""

    @staticmethod
    def forward(
        feature_map: Tensor, boxes: Tensor, gates: Tensor, coefficients: Tensor, pool_size: int
    ) -> Tensor:
        """Sum the regions part by part."""
        pooling, scale = _Pooling(feature_map, boxes, pool_size), _scale(gates)
        descriptor = gates.new_empty(len(gates), pool_size**2, gates.shape[2])
        for images, bins in pooling.parts():
            features = pooling.pool(_Part(images, bins)).mul_(scale[images])
            summed = torch.bmm(coefficients[images, None], features.flatten(2))
            descriptor[images, bins] = summed.view_as(descriptor[images, bins])
        return descriptor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Pool and drop each part again, without gradients of boxes."""
        feature_map, boxes, gates, coefficients = ctx.saved_tensors
        pooling, scale = _Pooling(feature_map, boxes, ctx.pool_size), _scale(gates)
        map_gradient = torch.zeros_like(pooling.positions)
        products = torch.zeros_like(scale[:, :, 0])
        weights = scale * coefficients[:, :, None, None]
        for part in pooling.parts():
            pooled = pooling.pool(part)
            by_sum = gradient[part.images, None, part.bins]  # (images, 1, bins, channels)
            for bin_pooled, bin_gradient in zip(pooled.unbind(2), by_sum.unbind(2), strict=True):
                products[part.images].addcmul_(bin_pooled, bin_gradient)
            pooling.add_to_map(
                map_gradient, part, torch.mul(weights[part.images], by_sum, out=pooled)
            )
        coefficients_gradient = (products * scale[:, :, 0]).sum(dim=2)
        return (
            pooling.as_map(map_gradient),
            None,
            products * coefficients[:, :, None],
            coefficients_gradient,
            None,
        )


def _scale(gates: Tensor) -> Float[Tensor, "batch regions 1 channels"]:
    """Return the factor of each region's channels."""
    return (1 + gates).contiguous()[:, :, None]


def _columns(weight: Tensor, part: _Part, channels: int) -> Float[Tensor, "outputs features"]:
    """Return the columns that read the bins of a part."""
    return weight[:, part.bins.start * channels : part.bins.stop * channels]
