"""agnet_* in timm: factory, optimizers and training loops."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2

import agnet_vision.models.timm
from agnet_vision import AGNet
from tests.conftest import random_regions


@pytest.fixture(scope="module")
def model() -> agnet_vision.models.timm.TimmAGNet:
    torch.manual_seed(0)
    return timm.create_model(
        "agnet_test_resnet", num_classes=4, num_clusters=2, head_kwargs={"pool_size": 2}
    ).eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3)).round()


def test_registered() -> None:
    """``import agnet_vision`` registers the listed backbones and no other."""
    assert {f"agnet_{name}" for name in agnet_vision.models.timm.BACKBONES} == set(
        timm.list_models("agnet_*")
    )
    assert timm.is_model("agnet_resnet50")
    assert "agnet_resnet50.a1_in1k" in timm.list_models("agnet_resnet50.*", pretrained=True)
    config = timm.get_pretrained_cfg("agnet_resnet50.a1_in1k")
    assert config.hf_hub_id == "timm/resnet50.a1_in1k"
    assert config.classifier == "head.classifier.linear"


def test_it_is_an_agnet(model: AGNet) -> None:
    assert isinstance(model, AGNet)
    assert (model.num_classes, model.num_features) == (4, 96)
    assert model.pretrained_cfg["num_classes"] == 4
    assert model.pretrained_cfg["first_conv"] == "backbone.model.conv1.0"
    assert model.get_submodule(model.pretrained_cfg["first_conv"]).in_channels == 3
    assert model.get_submodule(model.pretrained_cfg["classifier"]) is model.get_classifier()


def test_features_then_head_is_the_whole(model: AGNet) -> None:
    feature_map = model.forward_features(images())
    torch.testing.assert_close(model.forward_head(feature_map), model(images()))
    embedding = model.forward_head(feature_map, pre_logits=True)
    assert embedding.shape == (2, 96)
    torch.testing.assert_close(model.get_classifier()(embedding), model(images()))
    regions = random_regions(2, 2)
    torch.testing.assert_close(
        model.forward_head(feature_map + 0, regions=regions), model(images(), regions)
    )
    with pytest.raises(ValueError, match="needs regions for a map"):
        model.forward_head(feature_map + 0)


def test_reset_classifier() -> None:
    model = timm.create_model(
        "agnet_test_resnet", num_classes=4, num_clusters=2, classes=tuple("abcd")
    )
    regions = random_regions(2, 2)
    model.reset_classifier(7)
    assert model(torch.randn(2, 3, 160, 160), regions).shape == (2, 7)
    assert (model.num_classes, model.classes) == (7, None)
    model.reset_classifier(0)
    assert model(torch.randn(2, 3, 160, 160), regions).shape == (2, 96)
    with pytest.raises(ValueError, match="global_pool cannot be changed"):
        model.reset_classifier(3, "max")


@pytest.mark.parametrize(
    "backbone",
    ["test_resnet", "mobilenetv2_100", "swin_tiny_patch4_window7_224", "vit_small_patch16_224"],
)
def test_groups_and_layer_decay(backbone: str) -> None:
    """Every parameter has a group, stem first and head last."""
    with torch.device("meta"):
        model = timm.create_model(f"agnet_{backbone}", num_classes=4)
    groups = list(group_parameters(model, model.group_matcher()).values())
    assert len(groups) > 3
    first, last = groups[0], groups[-1]
    assert all(name.startswith("backbone.model.") for name in first)
    assert any(name.startswith("head.") for name in last)
    assert not any(name.startswith("head.") for group in groups[:-1] for name in group)
    assert sum(map(len, groups)) == len(list(model.named_parameters()))
    scales = [
        g["lr_scale"]
        for g in create_optimizer_v2(model, "adamw", lr=0.1, layer_decay=0.5).param_groups
    ]
    assert max(scales) == 1
    assert min(scales) < 0.3


def test_grad_checkpointing_changes_nothing() -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        "agnet_test_resnet", num_classes=4, num_clusters=2, head_kwargs={"pool_size": 2}
    )
    regions, gradients = random_regions(2, 2), []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(images(), regions).sum().backward()
        gradients.append(next(model.backbone.parameters()).grad.clone())
    torch.testing.assert_close(*gradients)


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
    assert model.head.classifier.dropout.p == 0.3
    assert model.variant == "no_attention"
    assert model(torch.randn(2, 1, 160, 160), random_regions(2, 2)).shape == (2, 2)
    with pytest.raises(ValueError, match="global_pool cannot be changed"):
        timm.create_model("agnet_test_resnet", global_pool="max")


def test_pretrained_weights_come_from_the_overlay(tmp_path) -> None:
    """pretrained=True fills the backbone alone.

    Here from a local file.
    """
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
