"""The rule of boxes, also where values cannot be read."""

from __future__ import annotations

import math

import pytest
import torch

from agnet_vision import AGNetHead, Regions
from agnet_vision.structures import check_boxes, valid_images, valid_slots
from tests.conftest import random_regions

BAD = {
    "reversed x": [0.6, 0.1, 0.2, 0.9],
    "reversed y": [0.1, 0.9, 0.2, 0.3],
    "pixels": [10.0, 10.0, 80.0, 90.0],
    "negative": [-0.2, 0.0, 0.5, 0.5],
    "nan": [0.1, math.nan, 0.5, 0.5],
    "infinite": [0.1, 0.1, math.inf, 0.5],
}


def with_box(box: list[float]) -> Regions:
    regions = random_regions(2, 2)
    regions.boxes[1, 2] = torch.tensor(box)
    return regions


@pytest.mark.parametrize("box", BAD.values(), ids=BAD.keys())
def test_raises(box: list[float]) -> None:
    with pytest.raises(ValueError, match=r"0 <= x0 <= x1 <= 1 .* in slot 2 of image 1"):
        check_boxes(with_box(box))
    assert valid_images(with_box(box)).tolist() == [True, False]


def test_the_head_refuses() -> None:
    head = AGNetHead(8, 3, num_clusters=2, pool_size=2)
    with pytest.raises(ValueError, match="slot 2 of image 1"):
        head(torch.randn(2, 8, 4, 4), with_box(BAD["nan"]))


def test_value_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the image with the bad box becomes NaN."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    head = AGNetHead(8, 3, num_clusters=2, pool_size=2).eval()
    regions = with_box(BAD["reversed x"])
    logits = head(torch.randn(2, 8, 4, 4), regions)
    assert logits.isfinite().all(dim=1).tolist() == [True, False]


def test_empty_slots_and_rounding_are_fine() -> None:
    regions = with_box([0.5, 0.5, 1.0000001, 1.0])
    check_boxes(regions)
    empty = with_box(BAD["pixels"])
    empty.mask[1, 2] = False
    check_boxes(empty)
    assert valid_slots(empty).all()


def test_raises_without_any_region() -> None:
    regions = random_regions(2, 2)
    regions.mask[1] = False
    with pytest.raises(ValueError, match="image 1 has none"):
        check_boxes(regions)
