"""timm's factory makes ``agnet_*`` networks once they are registered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from agnet_vision import AGNet
from agnet_vision.models.timm import register_timm_models
from tests.conftest import random_regions


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    register_timm_models()


def test_importing_the_package_registers_nothing() -> None:
    code = "import agnet_vision, timm; assert not timm.list_models('agnet_*')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_timm_model_has_its_twin() -> None:
    twins = timm.list_models("agnet_*")
    assert sorted(twins) == sorted(
        f"agnet_{name}" for name in timm.list_models(exclude_filters="agnet_*")
    )
    with torch.device("meta"):
        model = timm.create_model("agnet_resnet50.a1_in1k", num_classes=10)
    assert isinstance(model, AGNet)
    assert sum(p.numel() for p in model.parameters()) == 54_701_710
    assert model.pretrained_cfg["tag"] == "a1_in1k"


def test_options_go_where_they_belong() -> None:
    model = timm.create_model(
        "agnet_test_resnet",
        num_classes=2,
        num_clusters=2,
        in_chans=1,
        drop_rate=0.3,
        variant="no_attention",
        taps=(-2,),
    )
    assert (model.num_classes, model.variant) == (2, "no_attention")
    assert model.head.classifier.dropout.p == 0.3
    model.set_grad_checkpointing()
    model(torch.randn(2, 1, 160, 160), random_regions(2, 2)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_pretrained_weights_fill_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("test_resnet")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = timm.create_model(
        "agnet_test_resnet",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "weights.pth")},
        num_classes=2,
    )
    torch.testing.assert_close(model.backbone.model.conv1[0].weight, source.conv1[0].weight)
    assert "pretrained_cfg_overlay" not in model.config()["backbone_kwargs"]
