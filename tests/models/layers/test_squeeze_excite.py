"""Slot-wise squeeze-and-excitation: count, a hand-worked value, no mixing of slots, the plain loop."""

from __future__ import annotations

import torch

from agnet_vision.models.layers import SlotSqueezeExcite
from tests.models import reference


def test_parameter_count() -> None:
    assert (
        sum(p.numel() for p in SlotSqueezeExcite(37, 2048).parameters())
        == 37 * 524_288
        == 19_398_656
    )


def test_value_by_hand() -> None:
    """Zero weights gate with sigmoid(0) = 1/2: every value grows by half."""
    layer = SlotSqueezeExcite(2, 16)
    torch.nn.init.zeros_(layer.excite)
    pooled = torch.randn(3, 2, 4, 16)
    torch.testing.assert_close(layer(pooled), 1.5 * pooled)


def test_slots_are_independent() -> None:
    layer = SlotSqueezeExcite(3, 16)
    pooled = torch.rand(1, 3, 4, 16)
    changed = pooled.clone()
    changed[:, 1] += 1
    before, after = layer(pooled), layer(changed)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_value_loop() -> None:
    layer = SlotSqueezeExcite(3, 32)
    pooled = torch.rand(2, 3, 4, 32)
    output = layer(pooled)
    for image in range(2):
        for slot in range(3):
            expected = reference.squeeze_excite(
                pooled[image, slot].T.unflatten(1, (2, 2)), slot, layer
            )
            torch.testing.assert_close(output[image, slot], expected.flatten(1).T)
