"""The features of the regions, phi, and what the head takes from them.

phi is large: 15 MB per image with ResNet-50 and 37 regions. It is made once, kept, and used twice:
for products with a few long vectors, and for a weighted sum over the regions. On the CPU it is made
for a few images at a time, so that it is still in the processor's cache when it is projected.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet_vision.models.layers.fast_linear import fast_linear
from agnet_vision.models.layers.region_pooling import (
    pool_region_means,
    pool_regions,
    sampling_weights,
)
from agnet_vision.structures import Regions

PART_BYTES = 32 * 2**20  # ours: of phi made at a time on the CPU


class MapFeatures:
    """The whole map as one region, its cells as bins; ``grid`` is their rows and columns."""

    def __init__(self, feature_map: Float[Tensor, "batch channels height width"]) -> None:
        batch, _, height, width = feature_map.shape
        self.feature_map = feature_map
        self.mask = torch.ones(batch, 1, dtype=torch.bool, device=feature_map.device)
        self.grid = (height, width)

    def only(self, cells: Bool[Tensor, "batch height width"]) -> MapFeatures:
        """Return the same features of these cells alone, the others at zero."""
        return MapFeatures(self.feature_map * cells[:, None])

    def dense(self) -> Float[Tensor, "batch regions bins channels"]:
        """Return phi itself."""
        return self.feature_map.flatten(2).transpose(1, 2)[:, None]

    def weighted_sum(
        self, coefficients: Float[Tensor, "batch regions"]
    ) -> Float[Tensor, "batch bins channels"]:
        """Compute ``sum_r coefficients_r * phi_r``."""
        return coefficients[:, :, None] * self.dense().squeeze(1)

    def share_among_cells(
        self,
        coefficients: Float[Tensor, "batch regions"],
        weights: Float[Tensor, "batch bins channels"],
    ) -> Float[Tensor, "batch height width channels"]:
        """Share a weighted sum of each channel among the map's cells.

        The sum of channel c is ``sum_r,n coefficients_r weights_nc phi_rnc``; the shares add up to
        it. ``weights`` are such as the gradient of a logit.
        """
        cells = self.feature_map.flatten(2)
        shares = torch.einsum("br,bnc,bcn->bnc", coefficients, weights, cells)
        return shares.unflatten(1, self.feature_map.shape[2:])


class RegionFeatures(MapFeatures):
    """Pooled and gated features of regions, ``phi_r = x_r * (1 + gate_r)``.

    Args:
        feature_map: the map the regions are pooled from, after self-attention.
        regions: boxes that obey the rule of ``structures``, and their mask.
        pool_size: p, the side of a region's grid of bins.
        gates: gate of every channel of each region; None: no gate yet, ``phi_r = x_r``.
        upsample: side of the map that the regions are pooled from as if it were enlarged; None: the
            map as it is.
    """

    def __init__(
        self,
        feature_map: Float[Tensor, "batch channels height width"],
        regions: Regions,
        pool_size: int,
        gates: Float[Tensor, "batch regions channels"] | None = None,
        *,
        upsample: int | None = None,
    ) -> None:
        self.feature_map = feature_map
        self.regions = regions
        self.boxes, self.mask = regions
        self.pool_size = pool_size
        self.upsample = upsample
        self.grid = (pool_size, pool_size)
        if gates is None:
            gates = feature_map.new_zeros(*self.mask.shape, feature_map.shape[1])
        self.gates = gates
        self._made: list[Tensor] | None = None

    def means(self) -> Float[Tensor, "batch regions channels"]:
        """Average each region's channels over its bins, before any gate."""
        return pool_region_means(self.feature_map, self.boxes, self.pool_size, self.upsample)

    def gated(self, gates: Float[Tensor, "batch regions channels"]) -> RegionFeatures:
        """Return the same regions with these gates."""
        return self._with(self.feature_map, gates)

    def only(self, cells: Bool[Tensor, "batch height width"]) -> RegionFeatures:
        """Return the same features of these cells alone, the others at zero."""
        return self._with(self.feature_map * cells[:, None], self.gates)

    def dense(self) -> Float[Tensor, "batch regions bins channels"]:
        """Return phi itself."""
        return torch.cat(self._parts())

    def project(
        self, weight: Float[Tensor, "outputs features"]
    ) -> Float[Tensor, "batch regions outputs"]:
        """Compute ``phi @ weight.T`` with phi flattened bin by bin."""
        return torch.cat([fast_linear(phi.flatten(2), weight) for phi in self._parts()])

    def weighted_sum(
        self, coefficients: Float[Tensor, "batch regions"]
    ) -> Float[Tensor, "batch bins channels"]:
        """Compute ``sum_r coefficients_r * phi_r``, as one matrix product."""
        shares = zip(self._split(coefficients), self._parts(), strict=True)
        summed = [
            torch.bmm(share[:, None].to(phi.dtype), phi.flatten(2)) for (share,), phi in shares
        ]
        return torch.cat(summed).squeeze(1).unflatten(1, (self.pool_size**2, -1))

    def share_among_cells(
        self,
        coefficients: Float[Tensor, "batch regions"],
        weights: Float[Tensor, "batch bins channels"],
    ) -> Float[Tensor, "batch height width channels"]:
        """Share a weighted sum of each channel among the map's cells."""
        height, width = self.feature_map.shape[-2:]
        sampled = sampling_weights(self.boxes, height, width, self.pool_size, self.upsample)
        scale = coefficients[:, :, None] * (1 + self.gates)
        taken = torch.einsum("brnp,brc->bnpc", sampled, scale)
        shares = torch.einsum("bnpc,bnc,bcp->bpc", taken, weights, self.feature_map.flatten(2))
        return shares.unflatten(1, self.feature_map.shape[2:])

    def _with(self, feature_map: Tensor, gates: Tensor) -> RegionFeatures:
        """Return the same regions of a map, with gates."""
        return RegionFeatures(
            feature_map, self.regions, self.pool_size, gates, upsample=self.upsample
        )

    def _parts(self) -> list[Tensor]:
        """Make phi, once, in parts of a few images on the CPU."""
        if self._made is None:
            self._made = []
            for part, boxes, gates in self._split(self.feature_map, self.boxes, self.gates):
                phi = pool_regions(part, boxes, self.pool_size, self.upsample)
                scale = (1 + gates)[:, :, None]
                # In place where no gradient needs the pooled values: phi is large, memory is slow.
                self._made.append(phi * scale if torch.is_grad_enabled() else phi.mul_(scale))
        return self._made

    def _split(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Divide tensors into parts of images, on the CPU only."""
        if self.feature_map.device.type != "cpu" or torch.compiler.is_compiling():
            return [tensors]
        _, regions, channels = self.gates.shape
        image_bytes = regions * self.pool_size**2 * channels * self.feature_map.element_size()
        images = max(PART_BYTES // image_bytes, 1)
        return list(zip(*(tensor.split(images) for tensor in tensors), strict=True))
