"""Slot-wise squeeze-and-excitation: by hand and by the plain loop."""

from __future__ import annotations

import torch

from agnet_vision.models.layers import RegionFeatures, SlotSqueezeExcite
from agnet_vision.structures import Regions
from tests.conftest import random_regions
from tests.models import loops


def test_parameter_count() -> None:
    assert sum(p.numel() for p in SlotSqueezeExcite(37, 2048).parameters()) == 37 * 524_288


def test_value_by_hand() -> None:
    """Without weights, gates of sigmoid(0) = 1/2 add half to every value."""
    layer = SlotSqueezeExcite(2, 16)
    torch.nn.init.zeros_(layer.excite)
    boxes, mask = random_regions(3, 1)
    features = RegionFeatures(torch.randn(3, 16, 4, 4), Regions(boxes, mask), 2)
    torch.testing.assert_close(layer(features).dense(), 1.5 * features.dense())


def test_slots_are_independent() -> None:
    layer = SlotSqueezeExcite(3, 16)
    layer.squeeze.data.abs_()  # so that no unit is switched off by chance
    means = torch.rand(1, 3, 16)
    changed = means.clone()
    changed[:, 1] += 1
    before, after = layer.gates(means), layer.gates(changed)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_value_loop() -> None:
    torch.manual_seed(0)
    layer = SlotSqueezeExcite(4, 32)
    features = RegionFeatures(torch.rand(2, 32, 4, 5), random_regions(2, 2), 2)
    gated = layer(features).dense()
    for image in range(2):
        for slot in range(4):
            pooled = features.dense()[image, slot].T.unflatten(1, (2, 2))
            expected = loops.squeeze_excite(pooled, slot, layer)
            torch.testing.assert_close(gated[image, slot], expected.flatten(1).T)
