"""The classifier: counts and a hand-worked mix of both pools."""

from __future__ import annotations

import pytest
import torch
from timm.layers import SelectAdaptivePool2d

from agnet_vision.models.layers import AveragePoolClassifier, MixedPoolClassifier


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


def test_value_average() -> None:
    """timm's own pooling, and no parameter for it."""
    layer = AveragePoolClassifier(8, 3).eval()
    feature_map = torch.randn(2, 8, 4, 5)
    pooled = SelectAdaptivePool2d(pool_type="avg", flatten=True)(feature_map)
    descriptor = feature_map.flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(descriptor), layer.linear(layer.norm(pooled)))
    assert sum(p.numel() for p in layer.parameters()) == 2 * 8 + 8 * 3 + 3


@pytest.mark.parametrize("kind", [AveragePoolClassifier, MixedPoolClassifier])
def test_value_shares_give_the_pooled_value(kind: type[AveragePoolClassifier]) -> None:
    layer, descriptor = kind(8, 3), torch.randn(2, 20, 8)
    pooled = (layer.share(descriptor) * descriptor).sum(dim=1)
    torch.testing.assert_close(pooled, layer.pool(descriptor))
