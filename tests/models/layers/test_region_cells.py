"""The four cells of a bin give the pooling product.

Its NaN is included.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agnet_vision.models.layers.region_cells import gather_cells, sampled_cells
from agnet_vision.models.layers.region_pooling import pool_regions, sampling_weights
from tests.conftest import random_regions


def gathered(feature_map: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    height, width = feature_map.shape[-2:]
    cells, weights = sampled_cells(boxes, height, width, pool_size)
    return gather_cells(feature_map.permute(0, 2, 3, 1).flatten(0, 2), cells, weights)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (5, 11), (1, 3), (14, 14)])
@pytest.mark.parametrize("pool_size", [1, 7])
def test_value_product(height: int, width: int, pool_size: int) -> None:
    feature_map = torch.randn(2, 6, height, width, generator=torch.Generator().manual_seed(1))
    boxes = random_regions(2, 3).boxes
    expected = pool_regions(feature_map, boxes, pool_size)
    torch.testing.assert_close(
        gathered(feature_map, boxes, pool_size), expected, atol=1e-5, rtol=1e-5
    )


def test_the_cells_are_those_with_weight() -> None:
    """The four weights are the row of the product."""
    boxes = random_regions(1, 2).boxes
    cells, weights = sampled_cells(boxes, 4, 6, 3)
    rows = torch.zeros(1, 4, 9, 24).scatter_add_(3, cells, weights)
    torch.testing.assert_close(rows, sampling_weights(boxes, 4, 6, 3), atol=1e-6, rtol=0)


def test_nan_stays_nan() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [torch.nan, 0.0, 1.0, 1.0]]])
    pooled = gathered(torch.ones(1, 3, 4, 4), boxes, 2)
    assert pooled[0, 0].isfinite().all()
    assert pooled[0, 1].isnan().all()
