"""The classifier: counts and a hand-worked mix of both pools."""

from __future__ import annotations

import torch

from agnet_vision.models.layers import MixedPoolClassifier


def test_parameter_count() -> None:
    assert (
        sum(p.numel() for p in MixedPoolClassifier(2048, 10).parameters()) == 2_049 + 4_096 + 20_490
    )


def test_value_by_hand() -> None:
    """Average 2, maximum 4 and omega = sigmoid(ln 3) = 3/4 give 3.5."""
    layer = MixedPoolClassifier(1, 2)
    torch.nn.init.zeros_(layer.mix.weight)
    layer.mix.bias.data.fill_(torch.log(torch.tensor(3.0)))
    pooled = layer.pool(torch.tensor([[[0.0], [4.0]]]))
    torch.testing.assert_close(pooled, torch.tensor([[3.5]]))
