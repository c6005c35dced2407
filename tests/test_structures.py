"""The rule of boxes, also where values cannot be read."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils.data import DataLoader, StackDataset

from agnet_vision import AGNetHead, Regions
from agnet_vision.structures import check_boxes, check_regions, valid_images, valid_slots
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


@pytest.mark.parametrize(
    "index",
    [1, -1, slice(1, 3), [2, 0], torch.tensor([2, 0, 2]), torch.tensor([True, False, True])],
)
def test_picked_as_a_tensor_is(index: object) -> None:
    regions = random_regions(3, 2, masked=1)
    picked = regions[index]
    assert torch.equal(picked.boxes, regions.boxes[index])
    assert torch.equal(picked.mask, regions.mask[index])
    assert len(regions) == 3
    assert len(regions[:0]) == 0
    boxes, mask = regions
    assert (boxes is regions.boxes, mask is regions.mask) == (True, True)


def test_no_image_beyond_the_last() -> None:
    with pytest.raises(IndexError):
        random_regions(3, 2)[3]


def test_cat_undoes_slices() -> None:
    regions = random_regions(3, 2, masked=1)
    joined = Regions.cat([regions[:1], regions[1:]])
    assert torch.equal(joined.boxes, regions.boxes)
    assert torch.equal(joined.mask, regions.mask)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_stacks_images(workers: int) -> None:
    """In the process itself and through a worker."""
    regions = random_regions(5, 2, masked=1)
    loader = DataLoader(StackDataset(torch.arange(5), regions), batch_size=2, num_workers=workers)
    for numbers, batch in loader:
        assert isinstance(batch, Regions)
        assert torch.equal(batch.boxes, regions.boxes[numbers])
        assert torch.equal(batch.mask, regions.mask[numbers])


def test_inputs_of_a_graph() -> None:
    """Compiled in one piece, and exported with the head."""
    head = AGNetHead(8, 3, num_clusters=2, pool_size=2).eval()
    feature_map, regions = torch.randn(2, 8, 4, 4), random_regions(2, 2, masked=1)
    compiled = torch.compile(check_regions, fullgraph=True, backend="eager")
    assert torch.equal(compiled(regions[:1], feature_map[:1], 2).boxes, regions.boxes[:1])
    exported = torch.export.export(head, (feature_map, regions)).module()
    torch.testing.assert_close(exported(feature_map, regions), head(feature_map, regions))
