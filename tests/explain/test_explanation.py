"""The parts add up to the logit, in their places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.prepared import OUTSIDE, Preparation
from agnet_vision.regions.proposer import RegionProposer
from tests.conftest import block_image
from tests.explain.conftest import VARIANTS, with_importance


@pytest.mark.parametrize("variant", VARIANTS)
def test_value_explanation_of_an_image(variant: str) -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 4, num_clusters=4, variant=variant).train()
    found = explain(model, block_image())
    assert model.training
    np.testing.assert_allclose(found.bias + found.evidence.sum(0), found.logits, atol=1e-4)
    assert found.target == found.logits.argmax()
    evidence = found.evidence[:, found.target].sum()
    np.testing.assert_allclose(found.heat().sum(), evidence, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.heat("attention").sum(), 1, atol=1e-5)
    with torch.no_grad():
        (prepared,) = Preparation(model)([block_image()])
        expected = model.eval()(prepared.input[None], prepared.regions)[0].numpy()
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)


def test_value_regions_lie_on_the_points_of_the_image(explanation: Explanation) -> None:
    for slot in np.unique(explanation.slot[explanation.slot != OUTSIDE]):
        points = explanation.keypoints.xy[explanation.slot == slot]
        np.testing.assert_allclose(explanation.boxes[slot, :2], points.min(0), atol=1.5)
        np.testing.assert_allclose(explanation.boxes[slot, 2:], points.max(0), atol=1.5)


def test_value_fewer_clusters_leave_slots_empty(model: AGNet) -> None:
    found = explain(model, block_image(), proposer=RegionProposer(num_clusters=2))
    assert found.mask[:4].tolist() == [True, True, False, False]
    assert found.mask.sum() == 4  # two groups, their pair, the whole image
    random = explain(model, block_image(), proposer=RegionProposer("random", num_clusters=3))
    assert (random.mask.sum(), len(random.keypoints.xy)) == (7, 0)
    with pytest.raises(ValueError, match="at most the 4"):
        explain(model, block_image(), proposer=RegionProposer(num_clusters=5))


def test_smoke_blank_image(model: AGNet) -> None:
    blank = explain(model, np.full((40, 60, 3), 128, np.uint8))
    assert blank.mask.sum() == 1
    assert blank.region_name(len(blank.mask) - 1) == "whole"
    assert blank.regions_by_importance() == []
    assert not blank.separates_regions()


def test_value_regions_have_names_and_an_order(explanation: Explanation) -> None:
    names = [explanation.region_name(region) for region in (0, 3, 4, 9, 10)]
    assert names == ["1", "4", "1+2", "3+4", "whole"]
    order = explanation.regions_by_importance()
    assert len(explanation.mask) - 1 not in order
    assert (np.diff(explanation.importance[order]) <= 0).all()


@pytest.mark.parametrize(("spread", "separates"), [(0.0, False), (0.009, False), (0.02, True)])
def test_value_importances_within_a_hundredth_separate_nothing(
    explanation: Explanation, spread: float, separates: bool
) -> None:
    assert with_importance(explanation, spread).separates_regions() == separates


def test_value_a_click_means_the_smallest_region_that_holds_it(explanation: Explanation) -> None:
    height, width = explanation.image.shape[:2]
    primary = explanation.boxes[:4] / ([width, height] * 2)
    for x, y in np.random.default_rng(0).random((50, 2)):
        x0, y0, x1, y1 = box = np.array(explanation.region_at(x, y))
        assert x0 <= x <= x1
        assert y0 <= y <= y1
        holding = [
            (right - left) * (bottom - top)
            for (left, top, right, bottom), there in zip(primary, explanation.mask, strict=False)
            if there and left <= x <= right and top <= y <= bottom
        ]
        area = (box[2:] - box[:2]).prod()
        assert area == pytest.approx(min(holding) if holding else 1 / 25, rel=1e-4)


def test_value_a_click_without_regions_means_a_cell_of_a_grid() -> None:
    model = AGNet("test_resnet", 4, variant="backbone_only")
    found = explain(model, block_image())
    assert found.region_at(0.5, 0.99) == pytest.approx((0.4, 0.8, 0.6, 1.0))
    assert found.region_at(1.0, 0.0) == pytest.approx((0.8, 0.0, 1.0, 0.2))
