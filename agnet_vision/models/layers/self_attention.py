"""Self-attention over map positions (SAGAN, AG-Net section III-B)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet_vision.models.layers.fast_linear import fast_linear


class SelfAttention(nn.Module):
    """Attention of every position of the map to all others.

    ``F' = delta * (h t) + F`` with ``t = softmax(f^T g)``. ``delta`` starts at zero (paper), so the
    layer begins as the identity and f, g, h learn from the second step on. The bias of f never
    does: it adds one number to all the scores of a softmax; the paper counts it.

    Args:
        channels: C of the map.
        reduction: f and g have C / reduction channels; 8 (paper).
    """

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.f = nn.Conv2d(channels, inner, kernel_size=1)
        self.g = nn.Conv2d(channels, inner, kernel_size=1)
        self.h = nn.Conv2d(channels, channels, kernel_size=1)
        self.delta = nn.Parameter(torch.zeros(()))
        # As in RegionAttention: Adam moves every weight by about the learning rate, and the C
        # inputs are non-negative, so with plain weights the softmax falls onto one position within
        # an epoch. The weights are stored sqrt(C) times too large and the products scaled back
        # (ours): the same function and count, fitting steps.
        self.scale = channels**-0.5
        for conv in (self.f, self.g, self.h):
            nn.init.uniform_(conv.weight, -1, 1)  # sqrt(C) times the default of a convolution

    def forward(
        self, feature_map: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the map with attention added."""
        # Channels last, once: all that follows reads and writes whole positions.
        positions = feature_map.flatten(2).transpose(1, 2).contiguous()
        keys, queries, values = (
            fast_linear(positions, conv.weight.flatten(1) * self.scale, conv.bias)
            for conv in (self.f, self.g, self.h)
        )
        # (batch, positions, positions)
        weights = torch.bmm(queries, keys.transpose(1, 2)).softmax(dim=-1)
        gathered = torch.bmm(weights.to(values.dtype), values)  # autocast's softmax is float32
        attended = positions + self.delta * gathered
        return attended.transpose(1, 2).unflatten(2, feature_map.shape[2:])
