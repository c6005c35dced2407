"""Pairwise and importance attention without context vectors (AG-Net section III-D).

By the formulas, ``alpha_r = sum_r' m_rr' phi_r'`` is a vector of length D for each region, and both
things it is used for are linear in it. So ``W_a alpha_r = sum_r' m_rr' (W_a phi_r')``, and the
image descriptor is ``f = sum_r w_r alpha_r = sum_r' c_r' phi_r'`` with the coefficients ``c_r' =
sum_r w_r m_rr'``. W, W' and W_a read phi once, as one product of width 2 d + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet_vision.models.layers.region_features import MapFeatures, RegionFeatures


class Attention(NamedTuple):
    """What the head looks at.

    Attributes:
        importance: w, how much the context of each region counts; sums to one, zero in masked
            slots.
        pairwise: m, how much region r takes from region r', divided by the number of valid regions
            where the layer normalizes its context; zero where either slot is masked.
    """

    importance: Float[Tensor, "batch regions"]
    pairwise: Float[Tensor, "batch regions regions"]

    @property
    def coefficients(self) -> Float[Tensor, "batch regions"]:
        """Each region's weight in the descriptor, ``c_r' = sum_r w_r m_rr'``."""
        return torch.matmul(self.importance[:, None], self.pairwise).squeeze(1)


class UniformAttention(nn.Module):
    """The mean of all valid regions, as attention; the arguments play no part."""

    has_attention = False

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def forward(self, features: MapFeatures) -> Attention:
        """Weigh all valid regions alike."""
        valid = features.mask.to(features.feature_map.dtype)
        return Attention(valid / valid.sum(dim=1, keepdim=True), torch.diag_embed(valid))


class RegionAttention(nn.Module):
    """Attention that weighs regions by how they relate to each other.

    Args:
        num_features: D, the length of a flattened region (bins * channels).
        units: d of the pairwise space; 32 (paper).
        normalize_context: divide m by the number of valid regions, so that alpha is a mean and
            images with few regions have the same scale as those with many (ours; the paper writes
            the plain sum).
    """

    has_attention = True

    def __init__(
        self, num_features: int, *, units: int = 32, normalize_context: bool = True
    ) -> None:
        super().__init__()
        self.units = units
        self.normalize_context = normalize_context
        self.project = nn.Linear(num_features, 2 * units + 1, bias=False)  # rows: W, W', W_a
        self.pair_bias = nn.Parameter(torch.zeros(units))  # b
        self.pair_score = nn.Linear(units, 1)  # w, b_m
        # b_a; the softmax is blind to it, the paper counts it.
        self.importance_bias = nn.Parameter(torch.zeros(()))

        # Adam moves every weight by about the learning rate, and the D inputs of a region are
        # non-negative: with plain weights one step of 1e-3 shifts the tanh by tens, and the
        # attention is dead within an epoch. So the weights are stored sqrt(D) times too large and
        # the product scaled back (ours): the same function, start and count, fitting steps.
        self.scale = num_features**-0.5
        nn.init.xavier_uniform_(self.project.weight, gain=num_features**0.5)
        nn.init.zeros_(self.project.weight[-1])  # importance starts uniform (ours)

    def forward(self, features: RegionFeatures) -> Attention:
        """Compute the attention of images with at least one region."""
        mask = features.mask
        projected = features.project(self.project.weight) * self.scale
        own, other, score = projected.split([self.units, self.units, 1], dim=-1)
        # (batch, regions, regions, units)
        relation = torch.tanh(own[:, :, None] + other[:, None, :] + self.pair_bias)
        both = mask[:, :, None] & mask[:, None, :]
        pairwise = self.pair_score(relation).squeeze(-1).sigmoid().masked_fill(~both, 0)
        if self.normalize_context:
            pairwise = pairwise / mask.sum(dim=1)[:, None, None]

        logits = torch.matmul(pairwise, score).squeeze(-1) + self.importance_bias
        importance = logits.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return Attention(importance, pairwise)
