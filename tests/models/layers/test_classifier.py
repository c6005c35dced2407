"""The classifier: counts and a hand-worked mix of both pools."""

from __future__ import annotations

import pytest
import torch
from timm.layers import SelectAdaptivePool2d

from agnet_vision.models.layers import (
    AttentionPoolClassifier,
    AveragePoolClassifier,
    MixedPoolClassifier,
)


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


def test_value_attention_begins_as_the_average_and_weighs_groups_of_channels() -> None:
    layer, descriptor = AttentionPoolClassifier(16, 3), torch.randn(2, 20, 16)
    torch.testing.assert_close(layer.pool(descriptor), descriptor.mean(dim=1))

    layer.look.weight.data[1, 5] = 2.0  # the second group, channels 2 and 3, looks at channel 5
    weights = (2 * descriptor[..., 5]).softmax(dim=1)
    pooled = layer.pool(descriptor)
    torch.testing.assert_close(pooled[:, 3], (weights * descriptor[..., 3]).sum(dim=1))
    torch.testing.assert_close(pooled[:, 4], descriptor[..., 4].mean(dim=1))


@pytest.mark.parametrize(
    "kind", [AveragePoolClassifier, AttentionPoolClassifier, MixedPoolClassifier]
)
def test_value_shares_give_the_pooled_value(kind: type[AveragePoolClassifier]) -> None:
    layer, descriptor = kind(8, 3), torch.randn(2, 20, 8)
    if isinstance(layer, AttentionPoolClassifier):
        torch.nn.init.normal_(layer.look.weight)
    pooled = (layer.share(descriptor) * descriptor).sum(dim=1)
    torch.testing.assert_close(pooled, layer.pool(descriptor))
