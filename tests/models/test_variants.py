"""The paper's three variants of the head, and ours."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from agnet_vision.models.agnet import AGNet
from agnet_vision.models.layers import RegionAttention, SelfAttention
from agnet_vision.models.variants import VARIANTS, Parts, Variant, parts_of
from tests.conftest import random_regions


def test_every_variant_may_be_named() -> None:
    assert get_args(Variant) == tuple(VARIANTS)


def test_a_variant_joins_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name makes, trains, describes and rebuilds it."""
    ungated = Parts(True, SelfAttention, nn.Identity, RegionAttention)
    monkeypatch.setitem(VARIANTS, "ungated", ungated)
    model = AGNet("test_resnet", 3, num_clusters=2, variant="ungated")
    logits = model(torch.randn(2, 3, 160, 160), random_regions(2, 2))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert model.head.has_attention
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    rebuilt = AGNet.from_config(model.config())
    assert isinstance(rebuilt.head.squeeze_excite, nn.Identity)
    assert [p.shape for p in rebuilt.parameters()] == [p.shape for p in model.parameters()]


def test_raises_on_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="one of full, no_attention, backbone_only, got 'fulll'"):
        parts_of("fulll")
