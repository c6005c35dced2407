"""Region pooling: hand-worked numbers, and torchvision's roi_align and torch's interpolate."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate
from torchvision.ops import roi_align

from agnet_vision.models.layers.region_pooling import axis_weights, pool_region_means, pool_regions
from tests.conftest import random_regions


def oracle(feature_map: torch.Tensor, boxes: torch.Tensor, pool_size: int) -> torch.Tensor:
    """roi_align in cells, half-pixel aligned, one sample a bin."""
    height, width = feature_map.shape[-2:]
    scaled = list(boxes * boxes.new_tensor([width, height, width, height]))
    pooled = roi_align(feature_map, scaled, pool_size, sampling_ratio=1, aligned=True)
    return pooled.flatten(2).transpose(1, 2).unflatten(0, boxes.shape[:2])


def test_value_by_hand() -> None:
    """The right half of the ramp 0 1 2 3 along x lies at 2 and 3."""
    ramp = torch.arange(4.0).expand(1, 1, 2, 4)
    pooled = pool_regions(ramp, torch.tensor([[[0.5, 0.0, 1.0, 1.0]]]), 2)
    torch.testing.assert_close(pooled.flatten(), torch.tensor([2.0, 3.0, 2.0, 3.0]))


def test_x_is_x() -> None:
    """A top-right cell is found by the top-right box alone."""
    feature_map = torch.zeros(1, 1, 2, 6)
    feature_map[0, 0, 0, 5] = 1
    boxes = torch.tensor([[[5 / 6, 0, 1, 0.5], [0, 0.5, 1 / 6, 1], [0.0, 0, 1 / 6, 0.5]]])
    assert pool_regions(feature_map, boxes, 1).flatten().tolist() == pytest.approx([1, 0, 0])


@pytest.mark.parametrize(("height", "width"), [(7, 7), (5, 11), (1, 3), (14, 14)])
@pytest.mark.parametrize("pool_size", [1, 7])
def test_value_roi_align(height: int, width: int, pool_size: int) -> None:
    feature_map = torch.randn(2, 6, height, width, generator=torch.Generator().manual_seed(1))
    boxes = random_regions(2, 3).boxes
    pooled, expected = (pool(feature_map, boxes, pool_size) for pool in (pool_regions, oracle))
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)


def test_nan_stays_nan() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [torch.nan, 0.0, 1.0, 1.0]]])
    pooled = pool_regions(torch.ones(1, 3, 4, 4), boxes, 2)
    assert pooled[0, 0].isfinite().all()
    assert pooled[0, 1].isnan().all()


@pytest.mark.parametrize("size", [7, 14, 9])
def test_whole_image_is_a_resize(size: int) -> None:
    feature_map = torch.randn(1, 4, size, size)
    pooled = pool_regions(feature_map, torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]), 7)
    resized = interpolate(feature_map, (7, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pooled[:, 0].transpose(1, 2), resized.flatten(2))


def test_weights_sum_to_one_even_for_points() -> None:
    """A box without area still samples one place, at the border, too."""
    low = torch.tensor([[0.0, 0.3, 1.0]])
    torch.testing.assert_close(axis_weights(low, low, 5, 7).sum(-1), torch.ones(1, 3, 7))


def test_value_means() -> None:
    feature_map, boxes = torch.randn(2, 5, 6, 9), random_regions(2, 3).boxes
    expected = pool_regions(feature_map, boxes, 4).mean(dim=2)
    torch.testing.assert_close(
        pool_region_means(feature_map, boxes, 4), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("height", "width"), [(7, 7), (5, 11), (1, 3), (14, 14)])
@pytest.mark.parametrize("upsample", [42, 6])
def test_value_upsample(height: int, width: int, upsample: int) -> None:
    """No enlarged map is made, and the values are those of one, smaller ones included."""
    feature_map, boxes = torch.randn(2, 6, height, width), random_regions(2, 3).boxes
    enlarged = interpolate(feature_map, (upsample, upsample), mode="bilinear", align_corners=False)
    for pool in (pool_regions, pool_region_means):
        expected = pool(enlarged, boxes, 7)
        torch.testing.assert_close(
            pool(feature_map, boxes, 7, upsample), expected, atol=1e-5, rtol=1e-5
        )
    torch.testing.assert_close(
        pool_regions(feature_map, boxes, 7, upsample),
        oracle(enlarged, boxes, 7),
        atol=1e-5,
        rtol=1e-5,
    )


def test_gradient() -> None:
    feature_map = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    boxes = random_regions(1, 1).boxes.double()
    assert torch.autograd.gradcheck(lambda m: pool_regions(m, boxes, 2), feature_map)
