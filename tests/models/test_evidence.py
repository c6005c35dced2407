"""Exact evidence of marked cells, and its loss."""

import pytest
import torch

from agnet_vision import AGNetHead
from agnet_vision.explain.decomposition import decompose
from agnet_vision.models.evidence import (
    cell_evidence,
    evidence_inside,
    map_evidence_loss,
    share_outside,
)
from agnet_vision.structures import NO, YES, Marks, Regions

VARIANTS = ("full", "no_attention", "backbone_only")


def make_head(variant: str) -> AGNetHead:
    """Create a head whose layers all do something."""
    torch.manual_seed(0)
    head = AGNetHead(16, 5, num_clusters=3, variant=variant, pool_size=3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        head.classifier.norm.running_mean.normal_()
        head.classifier.norm.running_var.uniform_(0.5, 2)
    return head.double().eval()


def make_inputs() -> tuple[torch.Tensor, Regions]:
    """Create a map of 6 x 5 cells, and regions one of which is masked."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(4, 7, 2, 2, generator=generator, dtype=torch.float64).sort(dim=2).values
    boxes = corners.flatten(2)
    boxes[:, -1] = torch.tensor([0, 0, 1, 1])
    mask = torch.ones(4, 7, dtype=torch.bool)
    mask[:, 2] = False
    feature_map = torch.rand(4, 16, 6, 5, generator=generator, dtype=torch.float64)
    return feature_map, Regions(boxes, mask)


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_all_cells_give_the_logit(variant):
    head = make_head(variant)
    feature_map, regions = make_inputs()
    everything = torch.ones(4, 6, 5, dtype=torch.bool)
    evidence = evidence_inside(head, feature_map, regions, everything)
    bias = head.classifier.folded()[1]
    torch.testing.assert_close(evidence + bias, head(feature_map, regions))


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_cells_are_those_of_the_explanation(variant):
    head = make_head(variant)
    feature_map, regions = make_inputs()
    target = torch.tensor([0, 1, 2, 3])
    inside = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(2)) > 0.6

    with torch.no_grad():
        cells = decompose(head, feature_map, regions, target).cells
        evidence = evidence_inside(head, feature_map, regions, inside)
    torch.testing.assert_close(cell_evidence(head, feature_map, regions, target), cells)
    expected = (cells * inside).sum(dim=(1, 2))
    torch.testing.assert_close(evidence.gather(1, target[:, None]).squeeze(1), expected)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("look", [NO, YES])
def test_gradient_descent_moves_the_evidence(variant, look):
    """A few steps take evidence out of a mark, or into it."""
    head = make_head(variant)
    feature_map, regions = make_inputs()
    labels = torch.tensor([0, 1, 2, 3])
    boxes = torch.tensor([0.0, 0.0, 0.5, 0.5]).double().expand(4, 1, 4)
    marks = Marks(boxes, torch.full((4, 1), look))

    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = map_evidence_loss(head, feature_map, regions, labels, marks)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_value_of_unmarked_images_is_zero_and_has_a_gradient():
    head = make_head("backbone_only")
    feature_map, _ = make_inputs()
    marks = Marks(torch.zeros(4, 2, 4).double(), torch.zeros(4, 2, dtype=torch.int64))
    loss = map_evidence_loss(head, feature_map.requires_grad_(), None, torch.zeros(4).long(), marks)
    assert loss.item() == 0
    (loss + head(feature_map).sum()).backward()


def test_value_a_mark_touches_the_cells_it_overlaps():
    boxes = torch.tensor([[[0.25, 0.5, 0.5, 0.75], [0.9, 0.9, 1.5, 1.5], [0.0, 0.0, 1.0, 1.0]]])
    marks = Marks(boxes, torch.tensor([[NO, NO, YES]]))
    expected = torch.zeros(1, 4, 4, dtype=torch.bool)
    expected[0, 2, 1] = expected[0, 3, 3] = True
    assert torch.equal(marks.cells(NO, 4, 4), expected)
    assert marks.cells(YES, 4, 4).all()


def test_value_share_outside():
    cells = torch.tensor([[[1.0, -5.0], [3.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    inside = torch.zeros(2, 2, 2, dtype=torch.bool)
    inside[:, 1, 0] = True
    assert share_outside(cells, inside).tolist() == [0.25, 0.0]


def test_value_is_that_of_evaluation_in_training_and_under_autocast():
    torch.manual_seed(0)
    head = AGNetHead(16, 5, num_clusters=3, pool_size=3, width=8, dropout=0.5, region_dropout=0.5)
    feature_map, regions = make_inputs()
    inputs = feature_map.float(), Regions(regions.boxes.float(), regions.mask), torch.arange(4)
    marks = Marks(torch.tensor([0.0, 0.0, 0.5, 0.5]).expand(4, 1, 4), torch.full((4, 1), NO))
    expected = map_evidence_loss(head.eval(), *inputs, marks)

    before = {name: value.clone() for name, value in head.train().state_dict().items()}
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(map_evidence_loss(head, *inputs, marks), expected)
    assert all(module.training for module in head.modules())
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
