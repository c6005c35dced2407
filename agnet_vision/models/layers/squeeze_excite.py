"""Squeeze-and-excitation for every region slot (AG-Net section III-C)."""

from __future__ import annotations

import torch
from torch import nn

from agnet_vision.models.layers.region_features import RegionFeatures


class SlotSqueezeExcite(nn.Module):
    """One squeeze-and-excite block per slot, without bias.

    ``phi_r = SE_r(x_r) + x_r = x_r * (1 + gate_r)``.

    Args:
        num_regions: R, the number of slots.
        channels: C.
        reduction: the bottleneck has C / reduction units; 16 (paper).
    """

    def __init__(self, num_regions: int, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.squeeze = nn.Parameter(torch.empty(num_regions, channels, inner))
        self.excite = nn.Parameter(torch.empty(num_regions, inner, channels))
        # Glorot per block, as one Linear layer each would be (ours; the paper is silent).
        for slot in range(num_regions):
            nn.init.xavier_uniform_(self.squeeze[slot])
            nn.init.xavier_uniform_(self.excite[slot])

    def forward(self, features: RegionFeatures) -> RegionFeatures:
        """Return the features with their channels gated."""
        means = features.means().transpose(0, 1)  # (regions, batch, channels)
        hidden = torch.bmm(means, self.squeeze).relu()  # (regions, batch, inner)
        gates = torch.bmm(hidden, self.excite).sigmoid()
        return features.gated(gates.transpose(0, 1))
