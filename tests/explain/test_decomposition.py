"""The parts must add up to the logit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agnet_vision.explain.decomposition import decompose
from agnet_vision.structures import Regions
from tests.conftest import random_regions
from tests.explain.conftest import VARIANTS, fitted_head


def double_regions(batch: int, masked: int = 0) -> Regions:
    boxes, mask = random_regions(batch, 3, masked=masked)
    return Regions(boxes.double(), mask)


@pytest.mark.parametrize(
    "options", [{}, {"pooling": "average"}, {"pooling": "attention"}, {"upsample": 42}]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_value_parts_add_up_to_the_logits(variant: str, options: dict[str, Any]) -> None:
    head = fitted_head(variant, **options)
    feature_map = torch.randn(3, 12, 5, 4, dtype=torch.double)
    regions, target = double_regions(3, masked=2), torch.tensor([0, 4, 2])
    parts = decompose(head, feature_map, regions if head.needs_regions else None, target)
    logits = head(feature_map, regions)
    torch.testing.assert_close(parts.bias + parts.evidence.sum(1), logits, rtol=1e-12, atol=1e-12)
    chosen = parts.evidence[torch.arange(3), :, target]
    torch.testing.assert_close(parts.bins.sum((2, 3)), chosen, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.cells.sum((1, 2)), chosen.sum(1), rtol=1e-12, atol=1e-12)
    if head.needs_regions:
        assert (parts.evidence[0, :2] == 0).all()  # the masked regions
        assert (parts.importance[0, :2] == 0).all()


def test_value_evidence_is_where_the_only_informative_cell_is() -> None:
    feature_map = torch.zeros(1, 12, 6, 6, dtype=torch.double)
    feature_map[0, :, 1, 4] = 1.0
    regions = double_regions(1)
    regions.boxes[0, 0] = torch.tensor([0.0, 0.6, 0.3, 1.0])  # far from the cell
    parts = decompose(fitted_head("no_attention"), feature_map, regions, torch.tensor([1]))
    assert parts.evidence[0, 0].abs().max() == 0
    elsewhere = parts.cells.clone()
    elsewhere[0, 1, 4] = 0
    assert elsewhere.abs().max() < 1e-12 < parts.cells[0, 1, 4].abs()


def test_raises_in_training_mode() -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        decompose(fitted_head("full").train(), torch.zeros(1, 12, 4, 4), None, torch.tensor([0]))
