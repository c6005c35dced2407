"""Dropout of whole regions."""

from __future__ import annotations

import torch
from torch import nn

from agnet_vision.structures import Regions


class RegionDropout(nn.Module):
    """In training, leaves regions out as if the image lacked them.

    Each region but the last slot, the whole image, is left out with the same probability and by
    itself: its mask is false for this pass, so that no context takes from it, it has no importance,
    and means over the valid regions are over those that are left. Nothing is scaled up instead. In
    evaluation all regions stay.

    Args:
        probability: probability of leaving a region out.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, regions: Regions) -> Regions:
        """Return the same boxes with fewer of them valid."""
        if not self.training or self.probability == 0:
            return regions
        kept = torch.rand(regions.mask.shape, device=regions.mask.device) >= self.probability
        kept[:, -1] = True
        return Regions(regions.boxes, regions.mask & kept)
