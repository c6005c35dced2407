"""The readable definition gives the numbers of the fast path."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agnet_vision.models import reference
from agnet_vision.models.layers.region_pooling import pool_regions
from tests.conftest import random_regions
from tests.models.test_head import CLUSTERS, feature_map, trained_head

__all__ = ["feature_map"]  # a fixture


@pytest.mark.parametrize("options", [{}, {"normalize_context": False}, {"upsample": 42}])
def test_value_head(feature_map: torch.Tensor, options: dict[str, Any]) -> None:
    """The head gives the same logits, and gradients of the map and of every weight."""
    head, results = trained_head(**options), list[list[torch.Tensor]]()
    regions = random_regions(3, CLUSTERS, masked=2)
    inputs = [feature_map.requires_grad_(), *head.parameters()]
    for logits in (head(feature_map, regions), reference.logits(head, feature_map, regions)):
        gradients = torch.autograd.grad(logits.square().mean(), inputs, allow_unused=True)
        results.append([logits, *(g for g in gradients if g is not None)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-3)


def test_value_steps(feature_map: torch.Tensor) -> None:
    """Each step alone equals its layer."""
    head, (boxes, mask) = trained_head(), random_regions(3, CLUSTERS, masked=2)
    features, attention = head.describe(feature_map, random_regions(3, CLUSTERS, masked=2))
    attended = reference.attend_to_positions(head.self_attention, feature_map)
    torch.testing.assert_close(attended, features.feature_map, atol=1e-4, rtol=1e-4)

    x = reference.pool_regions(attended, boxes, head.pool_size)
    expected = pool_regions(attended, boxes, head.pool_size)
    torch.testing.assert_close(x.flatten(3).transpose(2, 3), expected, atol=1e-4, rtol=1e-4)

    phi = reference.gate_channels(head.squeeze_excite, x).flatten(3).transpose(2, 3)
    torch.testing.assert_close(phi, features.dense(), atol=1e-4, rtol=1e-4)

    m = reference.pairwise_attention(head.region_attention, phi.flatten(2), mask)
    torch.testing.assert_close(m, attention.pairwise, atol=1e-4, rtol=1e-4)
    w = reference.importance(head.region_attention, m @ phi.flatten(2), mask)
    torch.testing.assert_close(w, attention.importance, atol=1e-4, rtol=1e-4)
