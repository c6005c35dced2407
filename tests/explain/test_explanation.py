"""The parts must add up to the logit, and be where they are said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agnet_vision.explain.decomposition import decompose
from agnet_vision.explain.explanation import explain
from agnet_vision.explain.figures import _digits
from agnet_vision.explain.overlays import times_uniform
from agnet_vision.explain.prepared import OUTSIDE, take_view
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from agnet_vision.regions.proposer import RegionProposer
from tests.conftest import random_regions

VARIANTS = ["full", "no_attention", "backbone_only"]


def fitted_head(variant: str) -> AGNetHead:
    """Build a head whose every part matters: attention, self-attention and batch norm away from their start."""
    torch.manual_seed(3)
    head = AGNetHead(12, 5, num_clusters=3, variant=variant, pool_size=3).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        head.classifier.norm.running_mean.normal_()
        head.classifier.norm.running_var.uniform_(0.5, 2)
    return head.eval()


def photograph(seed: int = 0, height: int = 90, width: int = 140) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (height // 5, width // 5, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
    )


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 4, num_clusters=4, classes=("ant", "bee", "cat", "dog")).eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_parts_add_up_to_the_logits(variant: str) -> None:
    head, feature_map = fitted_head(variant), torch.randn(3, 12, 5, 4, dtype=torch.double)
    boxes, mask = random_regions(3, 3, masked=2)
    regions = type(random_regions(1, 3))(boxes.double(), mask)
    target = torch.tensor([0, 4, 2])
    parts = decompose(head, feature_map, None if variant == "backbone_only" else regions, target)
    logits = head(feature_map, regions)
    torch.testing.assert_close(parts.bias + parts.evidence.sum(1), logits, rtol=1e-12, atol=1e-12)
    chosen = parts.evidence[torch.arange(3), :, target]
    torch.testing.assert_close(parts.bins.sum((2, 3)), chosen, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.cells.sum((1, 2)), chosen.sum(1), rtol=1e-12, atol=1e-12)


def test_value_masked_regions_have_no_evidence() -> None:
    head, (boxes, mask) = fitted_head("full"), random_regions(1, 3, masked=2)
    regions = type(random_regions(1, 3))(boxes.double(), mask)
    parts = decompose(
        head, torch.randn(1, 12, 4, 4, dtype=torch.double), regions, torch.tensor([1])
    )
    assert (parts.evidence[0, :2] == 0).all()
    assert (parts.importance[0, :2] == 0).all()


def test_value_evidence_is_where_the_only_informative_cell_is() -> None:
    head = fitted_head("no_attention")
    feature_map = torch.zeros(1, 12, 6, 6, dtype=torch.double)
    feature_map[0, :, 1, 4] = 1.0
    boxes, mask = random_regions(1, 3)
    boxes[0, 0] = torch.tensor([0.0, 0.6, 0.3, 1.0])  # far from the cell
    parts = decompose(
        head, feature_map, type(random_regions(1, 3))(boxes.double(), mask), torch.tensor([1])
    )
    assert parts.evidence[0, 0].abs().max() == 0
    elsewhere = parts.cells.clone()
    elsewhere[0, 1, 4] = 0
    assert elsewhere.abs().max() < 1e-12 < parts.cells[0, 1, 4].abs()


def test_raises_in_training_mode() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        decompose(fitted_head("full").train(), torch.zeros(1, 12, 4, 4), None, torch.tensor([0]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_explanation_of_a_photograph(variant: str) -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 4, num_clusters=4, variant=variant).train()
    told = explain(model, photograph())
    assert model.training
    np.testing.assert_allclose(told.bias + told.evidence.sum(0), told.logits, atol=1e-4)
    assert told.target == told.logits.argmax()
    np.testing.assert_allclose(
        told.heat().sum(), told.evidence[:, told.target].sum(), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(told.heat("attention").sum(), 1, atol=1e-5)
    with torch.no_grad():
        view = take_view(model, photograph())
        expected = model.eval()(view.input[None], view.regions)[0].numpy()
    np.testing.assert_allclose(told.logits, expected, atol=1e-5)


def test_value_regions_lie_on_the_points_of_the_photograph(model: AGNet) -> None:
    told = explain(model, photograph())
    for slot in np.unique(told.slot[told.slot != OUTSIDE]):
        points = told.keypoints.xy[told.slot == slot]
        np.testing.assert_allclose(told.boxes[slot, :2], points.min(0), atol=1.5)
        np.testing.assert_allclose(told.boxes[slot, 2:], points.max(0), atol=1.5)


def test_value_frame_is_the_centre_crop(model: AGNet) -> None:
    x0, y0, x1, y1 = take_view(model, photograph(height=100, width=200)).frame
    assert (x0 + x1) / 2 == pytest.approx(100, abs=1)
    assert (y0 + y1) / 2 == pytest.approx(50, abs=1)
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.02)


def test_value_fewer_clusters_leave_slots_empty(model: AGNet) -> None:
    told = explain(model, photograph(), proposer=RegionProposer(num_clusters=2))
    assert told.mask[:4].tolist() == [True, True, False, False]
    assert told.mask.sum() == 4  # two groups, their pair, the whole image
    with pytest.raises(ValueError, match="at most the 4"):
        explain(model, photograph(), proposer=RegionProposer(num_clusters=5))


@pytest.mark.parametrize("source", ["grid", "random"])
def test_smoke_controls_and_a_blank_photograph(model: AGNet, source: str) -> None:
    assert (
        explain(model, photograph(), proposer=RegionProposer(source, num_clusters=3)).mask.sum()
        == 7
    )
    blank = explain(model, np.full((40, 60, 3), 128, np.uint8))
    assert blank.mask.sum() == 1
    assert blank.region_name(len(blank.mask) - 1) == "whole"


def test_value_region_names(model: AGNet) -> None:
    told = explain(model, photograph())
    assert [told.region_name(r) for r in (0, 3, 4, 9, 10)] == ["1", "4", "1+2", "3+4", "whole"]


def test_value_uniform_importance_is_painted_evenly(model: AGNet) -> None:
    told = explain(model, photograph())
    uniform = replace(told, importance=(told.mask / told.mask.sum()).astype(np.float32))
    np.testing.assert_allclose(times_uniform(uniform), 1, atol=1e-4)


def test_value_parts_of_a_weak_logit_are_readable() -> None:
    assert [_digits(value) for value in (3.0, 0.2, 0.003, 0.0)] == [2, 2, 4, 2]
