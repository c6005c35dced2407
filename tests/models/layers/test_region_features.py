"""Region features: every way gives the same numbers and gradients."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from agnet_vision.models.layers import MapFeatures, RegionFeatures, region_features
from agnet_vision.structures import Regions
from tests.conftest import random_regions

BATCH, CHANNELS, POOL_SIZE, OUTPUTS = 3, 6, 3, 4


def made() -> tuple[RegionFeatures, dict[str, Tensor]]:
    """Features of an uneven map with some empty slots, and the leaves behind them."""
    generator = torch.Generator().manual_seed(0)
    regions = random_regions(BATCH, 3, masked=2)
    slots = regions.mask.shape[1]
    leaves = {
        "feature_map": torch.randn(BATCH, CHANNELS, 4, 6, generator=generator),
        "gates": torch.rand(BATCH, slots, CHANNELS, generator=generator),
        "weight": torch.randn(OUTPUTS, POOL_SIZE**2 * CHANNELS, generator=generator),
        "coefficients": torch.rand(BATCH, slots, generator=generator),
        "boxes": regions.boxes,
    }
    regions = Regions(leaves["boxes"], regions.mask)
    features = RegionFeatures(leaves["feature_map"], regions, POOL_SIZE).gated(leaves["gates"])
    return features, leaves


def used(features: RegionFeatures, leaves: dict[str, Tensor]) -> list[Tensor]:
    return [features.project(leaves["weight"]), features.weighted_sum(leaves["coefficients"])]


def held(features: RegionFeatures, leaves: dict[str, Tensor]) -> list[Tensor]:
    """The same from phi itself."""
    phi = features.dense()
    projected = phi.flatten(2) @ leaves["weight"].T
    return [projected, torch.einsum("br,brnc->bnc", leaves["coefficients"], phi)]


@pytest.mark.parametrize("way", ["whole", "image by image", "compiled"])
def test_value(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, leaves = made()
    if way == "compiled":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    if way == "image by image":
        monkeypatch.setattr(region_features, "PART_BYTES", 1)
    torch.testing.assert_close(used(features, leaves), held(features, leaves), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("autocast", [True, False])
def test_gradient_in_parts(autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image by image the gradients are those of one piece, in half precision, too."""
    results = []
    for part_bytes in (2**20, 1):
        monkeypatch.setattr(region_features, "PART_BYTES", part_bytes)
        features, leaves = made()
        for leaf in leaves.values():
            leaf.requires_grad_()
        half = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
        with half:
            outputs = used(features, leaves)
        loss = sum(output.float().square().sum() for output in outputs)
        results.append([*outputs, *torch.autograd.grad(loss, list(leaves.values()))])
    tolerance = 2e-2 if autocast else 1e-5  # of the largest value: half precision adds up in parts
    for whole, parts in zip(*results, strict=True):
        assert (whole - parts).abs().max() <= tolerance * whole.abs().max()


def test_value_means() -> None:
    features, leaves = made()
    ungated = RegionFeatures(leaves["feature_map"], Regions(leaves["boxes"], features.mask), 3)
    torch.testing.assert_close(features.means(), ungated.dense().mean(dim=2))


@pytest.mark.parametrize("kind", [MapFeatures, RegionFeatures])
def test_shares_add_up(kind: type[MapFeatures]) -> None:
    """What is shared among the cells is the whole."""
    features, leaves = made()
    coefficients = leaves["coefficients"]
    if kind is MapFeatures:
        features, coefficients = MapFeatures(leaves["feature_map"]), torch.ones(BATCH, 1)
    bins = features.grid[0] * features.grid[1]
    weights = torch.randn(BATCH, bins, CHANNELS)
    shares = features.share_among_cells(coefficients, weights).sum(dim=-1)
    whole = (features.weighted_sum(coefficients) * weights).sum(dim=(1, 2))
    assert shares.shape == (BATCH, 4, 6)
    torch.testing.assert_close(shares.sum(dim=(1, 2)), whole, atol=1e-4, rtol=1e-4)


def test_value_upsample() -> None:
    """Everything is as on the enlarged map, whose cells are shared back among those of the map."""
    features, leaves = made()
    feature_map = leaves["feature_map"].requires_grad_()
    regions, coefficients = Regions(leaves["boxes"], features.mask), leaves["coefficients"]
    enlarged = interpolate(feature_map, (42, 42), mode="bilinear", align_corners=False)
    expected = RegionFeatures(enlarged, regions, POOL_SIZE, leaves["gates"])
    features = RegionFeatures(feature_map, regions, POOL_SIZE, upsample=42).gated(leaves["gates"])
    close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
    close(features.means(), expected.means())
    close(used(features, leaves), used(expected, leaves))

    weights = torch.randn(BATCH, POOL_SIZE**2, CHANNELS)
    whole = (expected.weighted_sum(coefficients) * weights).sum()
    (gradient,) = torch.autograd.grad(whole, feature_map)
    cells = features.share_among_cells(coefficients, weights).sum(dim=-1)
    close(cells, (feature_map * gradient).sum(dim=1))
    inside = torch.rand(BATCH, 4, 6) < 0.5
    part = (features.only(inside).weighted_sum(coefficients) * weights).sum()
    close(part, (cells * inside).sum())


def test_the_map_is_one_region() -> None:
    feature_map = torch.randn(2, 5, 3, 4)
    features = MapFeatures(feature_map)
    assert features.mask.tolist() == [[True], [True]]
    assert features.grid == (3, 4)
    summed = features.weighted_sum(torch.ones(2, 1))
    assert torch.equal(summed, feature_map.flatten(2).transpose(1, 2))
