"""Heads by name: the paper's three, and one of ours."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from agnet_vision.models.variants import VARIANTS, make_head
from tests.conftest import random_regions


@pytest.mark.parametrize("variant", ["full", "no_attention", "backbone_only"])
def test_value_the_papers(variant: str) -> None:
    """The name gives the head that its class gives."""
    torch.manual_seed(0)
    named = make_head(variant, 32, 5, num_clusters=2, pool_size=2).eval()
    torch.manual_seed(0)
    direct = AGNetHead(32, 5, num_clusters=2, pool_size=2, variant=variant).eval()
    feature_map, regions = torch.randn(2, 32, 4, 4), random_regions(2, 2)
    assert torch.equal(named(feature_map, regions), direct(feature_map, regions))


class NarrowHead(AGNetHead):
    """A head that projects the map to few channels first."""

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 8, **options) -> None:
        super().__init__(width, num_classes, **options)
        self.in_channels = in_channels
        self.self_attention = nn.Sequential(nn.Conv2d(in_channels, width, 1), self.self_attention)


def test_a_head_of_another_kind_joins_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name makes, trains, describes and rebuilds it."""
    monkeypatch.setitem(VARIANTS, "narrow", NarrowHead)
    model = AGNet("test_resnet", 3, num_clusters=2, variant="narrow", head_kwargs={"width": 4})
    logits = model(torch.randn(2, 3, 160, 160), random_regions(2, 2))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert all(parameter.grad is not None for parameter in model.head.classifier.parameters())
    rebuilt = AGNet.from_config(model.config())
    assert isinstance(rebuilt.head, NarrowHead)
    assert [p.shape for p in rebuilt.parameters()] == [p.shape for p in model.parameters()]


def test_raises_on_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="one of full, no_attention, backbone_only, got 'fulll'"):
        make_head("fulll", 32, 5)
