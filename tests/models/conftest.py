"""Fixtures of the models' tests: a network and its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agnet_vision import AGNet, RegionProposer


@pytest.fixture(scope="module")
def saved_model() -> AGNet:
    torch.manual_seed(0)
    proposer = RegionProposer(detector="orb", num_clusters=2, seed=4)
    model = AGNet(
        "test_resnet", 3, num_clusters=2, classes=("ant", "bee", "cat"), proposer=proposer
    )
    model.data_config["mean"] = (0.1, 0.2, 0.3)
    return model.eval()


@pytest.fixture
def saved_folder(saved_model: AGNet, tmp_path: Path) -> Path:
    scores = {"metrics": {"acc": 0.9321}}
    saved_model.save_pretrained(tmp_path / "saved", model_card_kwargs=scores)
    return tmp_path / "saved"
