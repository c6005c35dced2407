"""The heads and controls that are compared on stored maps."""

from __future__ import annotations

import pytest
import torch

from agnet_vision.models.layers import Attention
from agnet_vision.structures import Regions
from benchmarks import controls, heads


def stored(count: int) -> heads.Stored:
    """Make maps in which the label's own channels are larger."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 4
    maps = torch.rand(count, controls.CHANNELS, 5, 5, generator=generator)
    for row, label in enumerate(labels.tolist()):
        maps[row, label * 8 : label * 8 + 8] += 2
    regions = {}
    for name, proposer in controls.SOURCES.items():
        kappa = proposer.num_clusters
        slots = kappa * (kappa + 1) // 2 + 1
        boxes = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(count, slots, 4)
        regions[name] = Regions(boxes, torch.ones(count, slots, dtype=torch.bool))
    return heads.Stored(maps.half(), labels, regions)


@pytest.mark.parametrize("name", [name for name in controls.HEADS if "16 groups" not in name])
def test_computes_logits(name: str) -> None:
    maps, _, regions = heads.batch(stored(4), torch.arange(4))
    torch.manual_seed(0)
    assert controls.HEADS[name]()(maps, regions).shape == (4, controls.CLASSES)


@pytest.mark.parametrize("name", ["SimPool", "8 queries", "width 256"])
def test_learns(name: str) -> None:
    torch.manual_seed(0)
    head = controls.HEADS[name]()
    data = stored(640)
    heads.train(head, data, seed=0)
    classes = [str(number) for number in range(controls.CLASSES)]
    assert heads.evaluate(head, data, classes)["acc"] > 0.9


def test_kept_slots_alone_count() -> None:
    head = controls.Head(keep=[36], width=8).eval()
    maps, _, regions = heads.batch(stored(2), torch.arange(2))
    boxes, mask = regions["keypoints"]
    other = boxes.clone()
    other[:, :36, :2] = 0.5
    expected = head(maps, regions)
    assert torch.equal(head(maps, {"keypoints": Regions(other, mask)}), expected)


def test_random_attention_has_the_scale_of_its_own() -> None:
    mask = torch.tensor([[True, True, False]])
    own = Attention(torch.tensor([[0.5, 0.5, 0.0]]), torch.ones(1, 3, 3) * mask[:, None] / 2)
    drawn = controls.random_attention(own, mask)
    assert drawn.importance.sum() == pytest.approx(1.0)
    assert drawn.importance[0, 2] == 0
    assert (drawn.pairwise[:, :, 2] == 0).all()
    torch.testing.assert_close(drawn.pairwise[0, :2].sum(dim=1), own.pairwise[0, :2].sum(dim=1))
