"""Region dropout: what stays, how often, and when."""

from __future__ import annotations

import pytest
import torch

from agnet_vision.models.layers import RegionDropout
from tests.conftest import random_regions


def test_value_share_of_the_regions_that_stay() -> None:
    torch.manual_seed(0)
    regions = random_regions(2000, 3, masked=2)
    boxes, mask = RegionDropout(0.2)(regions)
    assert torch.equal(boxes, regions.boxes)
    assert not (mask & ~regions.mask).any()  # nothing comes back
    assert mask[:, -1].all()  # the whole image
    stays = mask[1:, :-1].float().mean()
    assert float(stays) == pytest.approx(0.8, abs=0.015)  # four standard errors


def test_evaluation_keeps_all() -> None:
    regions = random_regions(4, 3)
    assert RegionDropout(0.9).eval()(regions) is regions
    assert RegionDropout(0.0)(regions) is regions
