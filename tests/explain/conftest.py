"""Heads in which every part matters, and an explanation to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from tests.conftest import block_image

CLASSES = ("ant", "$bee$", "$", "a_$b$_c")
VARIANTS = ["full", "no_attention", "backbone_only"]


def fitted_head(variant: str, **options: Any) -> AGNetHead:
    """Build a head whose attention, self-attention and batch norm are away from their start."""
    torch.manual_seed(3)
    head = AGNetHead(12, 5, num_clusters=3, variant=variant, pool_size=3, **options).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        head.classifier.norm.running_mean.normal_()
        head.classifier.norm.running_var.uniform_(0.5, 2)
    return head.eval()


@pytest.fixture(scope="session")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 4, num_clusters=4, classes=CLASSES).eval()


@pytest.fixture(scope="session")
def explanation(model: AGNet) -> Explanation:
    return explain(model, block_image(), target=1)


def with_importance(explanation: Explanation, spread: float) -> Explanation:
    """Spread the importances from ``1 - spread`` to ``1 + spread`` times the uniform."""
    count = int(explanation.mask.sum())
    importance = np.zeros(len(explanation.mask), np.float32)
    importance[explanation.mask] = np.linspace(1 - spread, 1 + spread, count) / count
    return replace(explanation, importance=importance)
