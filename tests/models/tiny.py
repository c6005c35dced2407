"""The smallest network, and its checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import describe


def tiny() -> AGNet:
    return AGNet(
        "test_resnet.r160_in1k",
        2,
        num_clusters=2,
        head_kwargs={"pool_size": 2},
        classes=("left", "right"),
    ).eval()


def save(model: AGNet, path: Path) -> Path:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "agnet": describe(model.config())}, path)
    return path
