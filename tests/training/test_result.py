"""What a run returns."""

from __future__ import annotations

from pathlib import Path

import torch

from agnet_vision.models.agnet import AGNet
from agnet_vision.training.result import Run
from tests.conftest import random_regions


def test_load_model_opens_its_checkpoint(tmp_path: Path) -> None:
    model = AGNet("test_resnet", 3, num_clusters=2, variant="no_attention").eval()
    model.save_pretrained(tmp_path)
    opened = Run(tmp_path, checkpoint=tmp_path, metrics=None).load_model()
    images, regions = torch.randn(1, 3, 160, 160), random_regions(1, 2)
    assert not opened.training
    assert torch.equal(opened(images, regions), model(images, regions))
