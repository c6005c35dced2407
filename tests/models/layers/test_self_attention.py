"""Self-attention: identity at the start, and by hand; ``test_reference`` has the plain version."""

from __future__ import annotations

import torch

from agnet_vision.models.layers import SelfAttention


def test_identity_at_start() -> None:
    feature_map = torch.randn(2, 16, 3, 5)
    assert torch.equal(SelfAttention(16)(feature_map), feature_map)


def test_parameter_count() -> None:
    assert sum(p.numel() for p in SelfAttention(2048).parameters()) == 5_245_441


def test_value_uniform_softmax() -> None:
    """With f = 0 every position gathers h's mean.

    It is added twice where delta = 2.
    """
    layer = SelfAttention(1)
    torch.nn.init.zeros_(layer.f.weight)
    torch.nn.init.zeros_(layer.f.bias)
    torch.nn.init.ones_(layer.h.weight)
    torch.nn.init.zeros_(layer.h.bias)
    layer.delta.data.fill_(2.0)
    output = layer(torch.tensor([[[[1.0, 2.0, 6.0]]]]))
    torch.testing.assert_close(output, torch.tensor([[[[7.0, 8.0, 12.0]]]]))


def test_steps_of_adam_do_not_saturate_the_attention() -> None:
    """Twenty steps on a non-negative map leave weight on more than one position."""
    torch.manual_seed(0)
    layer = SelfAttention(1280)
    feature_map, target = torch.rand(2, 1280, 5, 5), torch.randn(2, 1280, 5, 5)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        (layer(feature_map) * target).mean().backward()
        optimizer.step()
    f, g = (
        torch.nn.functional.conv2d(feature_map, conv.weight * layer.scale, conv.bias).flatten(2)
        for conv in (layer.f, layer.g)
    )
    weights = torch.bmm(f.transpose(1, 2), g).softmax(dim=1)
    assert weights.amax(dim=1).mean() < 0.5, "one position of 25 has it all"
