"""Region attention: counts, hand-worked numbers, masks; the plain version: ``test_reference``."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from agnet_vision.models.layers import (
    Attention,
    MapFeatures,
    RegionAttention,
    RegionFeatures,
    UniformAttention,
)


def by_hand() -> RegionAttention:
    """One feature, one unit: u = tanh(x_r - x_r'), m = sigmoid(u), score = x."""
    layer = RegionAttention(1, units=1, normalize_context=False)
    layer.project.weight.data = torch.tensor([[1.0], [-1.0], [1.0]])
    torch.nn.init.ones_(layer.pair_score.weight)
    torch.nn.init.zeros_(layer.pair_score.bias)
    return layer


class Given(RegionFeatures):
    """Flat features that are given instead of pooled."""

    def __init__(self, phi: Tensor, mask: Tensor) -> None:
        self.phi, self.mask = phi, mask

    def project(self, weight: Tensor) -> Tensor:
        return linear(self.phi, weight)


def answer(layer: RegionAttention, phi: Tensor, mask: Tensor | None = None) -> Attention:
    """The attention for features that are given."""
    mask = torch.ones(phi.shape[:2], dtype=torch.bool) if mask is None else mask
    return layer(Given(phi, mask))


def test_parameter_count() -> None:
    layer = RegionAttention(7 * 7 * 2048)
    pairwise = 6_422_593
    importance = 100_353
    assert sum(p.numel() for p in layer.parameters()) == pairwise + importance


def test_value_by_hand() -> None:
    """Two regions with phi = 0 and 1: m = [[1/2, s(-t)], [s(t), 1/2]], t = tanh(1)."""
    attention = answer(by_hand(), torch.tensor([[[0.0], [1.0]]]))
    up = 1 / (1 + math.exp(-math.tanh(1)))
    down = 1 - up
    assert attention.pairwise.flatten().tolist() == pytest.approx([0.5, down, up, 0.5])
    odds = math.exp(0.5 - down)  # alpha = (m_01, m_11); importance = softmax of that
    importance = [1 / (1 + odds), odds / (1 + odds)]
    assert attention.importance.flatten().tolist() == pytest.approx(importance)
    expected = [
        importance[0] * 0.5 + importance[1] * up,
        importance[0] * down + importance[1] * 0.5,
    ]
    assert attention.coefficients.flatten().tolist() == pytest.approx(expected)


def test_masked_slots_take_no_part() -> None:
    """Valid slots answer as if masked ones were not there."""
    torch.manual_seed(0)
    layer = RegionAttention(6, units=4)
    torch.nn.init.normal_(layer.project.weight)
    features = torch.randn(1, 4, 6)
    mask = torch.tensor([[True, False, True, True]])
    attention, alone = answer(layer, features, mask), answer(layer, features[:, mask[0]])
    torch.testing.assert_close(attention.coefficients[:, mask[0]], alone.coefficients)
    torch.testing.assert_close(attention.importance[:, mask[0]], alone.importance)
    assert attention.coefficients[0, 1] == attention.importance[0, 1] == 0
    assert not attention.pairwise[0, 1].any()
    assert not attention.pairwise[0, :, 1].any()


def test_importance_starts_uniform() -> None:
    attention = answer(RegionAttention(6), torch.randn(2, 5, 6))
    torch.testing.assert_close(attention.importance, torch.full((2, 5), 0.2))


def test_normalized_context_is_a_mean() -> None:
    plain, mean = RegionAttention(6, normalize_context=False), RegionAttention(6)
    mean.load_state_dict(plain.state_dict())
    features = torch.randn(1, 5, 6)
    torch.testing.assert_close(
        answer(mean, features).coefficients * 5, answer(plain, features).coefficients
    )


def test_steps_of_adam_do_not_saturate_the_attention() -> None:
    """Five steps on non-negative features of a real width leave the tanh its slope."""
    torch.manual_seed(0)
    layer = RegionAttention(49 * 1280)
    features = torch.rand(2, 5, 49 * 1280)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        coefficients = answer(layer, features).coefficients
        (coefficients * torch.tensor([1.0, -1, 1, -1, 1])).sum().backward()
        optimizer.step()
    own, other, _ = (layer.project(features) * layer.scale).split([32, 32, 1], dim=-1)
    saturated = (torch.tanh(own[:, :, None] + other[:, None]).abs() > 0.99).float().mean()
    assert saturated < 0.1


def test_uniform_attention_is_the_mean_of_valid_regions() -> None:
    features = MapFeatures(torch.zeros(1, 2, 3, 3))
    features.mask = torch.tensor([[True, False, True, True]])
    attention = UniformAttention()(features)
    assert attention.coefficients.tolist() == [pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])]
    assert attention.pairwise[0].tolist() == torch.diag(features.mask[0].float()).tolist()
