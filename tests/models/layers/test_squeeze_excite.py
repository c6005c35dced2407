"""Slot-wise squeeze-and-excitation by hand; ``test_reference`` has the plain version."""

from __future__ import annotations

import torch

from agnet_vision.models.layers import RegionFeatures, SlotSqueezeExcite
from agnet_vision.structures import Regions
from tests.conftest import random_regions


def test_parameter_count() -> None:
    assert sum(p.numel() for p in SlotSqueezeExcite(37, 2048).parameters()) == 37 * 524_288


def test_value_by_hand() -> None:
    """Without weights, gates of sigmoid(0) = 1/2 add half to every value."""
    layer = SlotSqueezeExcite(2, 16)
    torch.nn.init.zeros_(layer.excite)
    boxes, mask = random_regions(3, 1)
    features = RegionFeatures(torch.randn(3, 16, 4, 4), Regions(boxes, mask), 2)
    torch.testing.assert_close(layer(features).dense(), 1.5 * features.dense())
