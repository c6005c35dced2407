"""Backbones: every layout becomes one kind of map."""

from __future__ import annotations

import pytest
import timm
import torch

from agnet_vision.models.backbone import TimmBackbone
from agnet_vision.models.sketch import SizeRule

# Name, layout, channels, stride at the model's own input size.
ARCHITECTURES = [
    ("resnet50", "NCHW", 2048, 32),
    ("resnext50_32x4d", "NCHW", 2048, 32),
    ("densenet121", "NCHW", 1024, 32),
    ("inception_v3", "NCHW", 2048, 37),
    ("xception41", "NCHW", 2048, 30),
    ("efficientnet_b0", "NCHW", 1280, 32),
    ("mobilenetv2_100", "NCHW", 1280, 32),
    ("mobilenetv3_small_050", "NCHW", 288, 32),
    ("mobilenetv4_conv_small_035", "NCHW", 336, 32),
    ("regnetx_002", "NCHW", 368, 32),
    ("convnext_atto", "NCHW", 320, 32),
    ("vgg11", "NCHW", 512, 32),
    ("dm_nfnet_f0", "NCHW", 3072, 32),
    ("hrnet_w18_small", "NCHW", 2048, 32),
    ("swin_tiny_patch4_window7_224", "NHWC", 768, 32),
    ("vit_tiny_patch16_224", "tokens", 192, 16),
    ("vit_small_patch14_reg4_dinov2", "tokens", 384, 14),
    ("maxvit_nano_rw_256", "NCHW", 512, 32),
    ("pit_ti_224", "tokens", 256, 32),
]


@pytest.mark.parametrize(("name", "layout", "channels", "stride"), ARCHITECTURES)
def test_shape(name: str, layout: str, channels: int, stride: int) -> None:
    """The map has the announced size, and follows the image's."""
    with torch.device("meta"):
        backbone = TimmBackbone(name)
        size = backbone.data_config()["input_size"]
        assert backbone(torch.empty(2, *size)).shape == (2, channels, *backbone.map_size)
        wide = backbone(torch.empty(1, 3, size[1] + 33, size[2] + 101))
    assert (backbone.layout, backbone.channels, backbone.stride) == (layout, channels, stride)
    assert wide.shape[:2] == (1, channels)
    assert wide.shape[-1] > wide.shape[-2] or backbone.size_rule.fixed is not None


@pytest.mark.parametrize(
    ("name", "rule", "nearest"),
    [
        ("test_resnet", SizeRule(), (33, 100)),
        ("test_vit", SizeRule(multiple=16), (32, 96)),
        ("mixer_s32_224", SizeRule(fixed=(224, 224)), (224, 224)),
    ],
)
def test_value_size_rule(name: str, rule: SizeRule, nearest: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert TimmBackbone(name).size_rule == rule
    assert rule.nearest(33, 100) == nearest


def test_value_layouts() -> None:
    """The mean over the map is what timm's pooling gives."""
    torch.manual_seed(0)
    for name, options in (
        ("test_resnet", {}),
        ("test_vit", {"global_pool": "avg", "fc_norm": False}),
        (
            "test_swin" if timm.is_model("test_swin") else "swin_tiny_patch4_window7_224",
            {"depths": (1, 1, 1, 1)},
        ),
    ):
        size = 224 if "swin" in name else 160
        backbone = TimmBackbone(name, options=options if "swin" in name else {}).eval()
        model = timm.create_model(name, num_classes=0, **options).eval()
        model.load_state_dict(backbone.model.state_dict(), strict=False)
        images = torch.randn(1, 3, size, size)
        torch.testing.assert_close(
            backbone(images).mean((2, 3)), model(images), atol=1e-4, rtol=1e-4
        )


def test_tokens_keep_their_places() -> None:
    """A change in one corner changes that corner most."""
    torch.manual_seed(0)
    backbone = TimmBackbone("test_vit").eval()
    images = torch.randn(1, 3, 96, 160)
    changed = images.clone()
    changed[:, :, :16, -16:] += 3
    difference = (backbone(changed) - backbone(images)).abs().sum(1)[0]  # (6, 10)
    assert difference.shape == (6, 10)
    assert divmod(int(difference.argmax()), 10) == (0, 9)


def test_taps_concatenate_at_the_finest() -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 3, 96, 64)
    parts = [TimmBackbone("test_resnet", taps=(tap,)).eval() for tap in (-2, -1)]
    both = TimmBackbone("test_resnet", taps=(-2, -1)).eval()
    for part in parts:
        part.model.load_state_dict(both.model.state_dict(), strict=False)
    fine, coarse = (part(images) for part in parts)
    combined = both(images)
    assert both.stride == parts[0].stride == 16
    assert combined.shape == (1, fine.shape[1] + coarse.shape[1], 6, 4)
    torch.testing.assert_close(combined[:, : fine.shape[1]], fine)


@pytest.mark.parametrize("taps", [None, (-2,)])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_every_parameter_is_used(name: str, taps: tuple[int, ...] | None) -> None:
    """Distributed training has no unused parameter of a classifier or later stage to wait for."""
    backbone = TimmBackbone(name, taps=taps)
    backbone(torch.randn(2, 3, 160, 160)).sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


def test_two_token_maps() -> None:
    """CrossViT's last fusion, which the map ignores, does not learn."""
    backbone = TimmBackbone("crossvit_tiny_240", options={"depth": ((1, 1, 0),)})
    backbone(torch.randn(2, 3, 240, 240)).sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None] == []
    assert any(not p.requires_grad for p in backbone.parameters())


def test_grey_images() -> None:
    backbone = TimmBackbone("test_resnet", options={"in_chans": 1})
    assert len(backbone.data_config()["mean"]) == 1
    assert backbone(torch.randn(2, 1, 64, 64)).shape[0] == 2


def test_raises_on_pixels() -> None:
    with pytest.raises(ValueError, match=r"normalized floating point, got torch.uint8"):
        TimmBackbone("test_resnet")(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))


def test_raises_on_taps() -> None:
    with pytest.raises(ValueError, match="choose other taps"):
        TimmBackbone("test_resnet", taps=(17,))


@pytest.mark.parametrize(
    ("name", "count", "still"),
    [
        ("test_resnet", 0, ("none",)),
        ("test_resnet", 2, ("conv1.", "bn1.", "layer1.", "layer2.")),
        ("mobilenetv2_100", 1, ("conv_stem.", "bn1.", "blocks.0.")),
        ("test_vit", 1, ("cls_token", "pos_embed", "patch_embed.", "blocks.0.")),
    ],
)
def test_frozen_stages_stay_as_they_are(name: str, count: int, still: tuple[str, ...]) -> None:
    """Frozen stages stay, and everything after them learns."""
    torch.manual_seed(0)
    backbone = TimmBackbone(name)
    backbone.freeze_stages(count)
    backbone.train()
    before = {key: value.clone() for key, value in backbone.model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone(torch.randn(2, 3, 160, 160)).square().mean().backward()
    optimizer.step()
    moved = {
        key for key, value in backbone.model.state_dict().items() if not value.equal(before[key])
    }
    assert not [key for key in moved if key.startswith(still)]
    learning = {key for key, p in backbone.model.named_parameters() if p.requires_grad}
    assert learning
    assert learning == {
        key for key, _ in backbone.model.named_parameters() if not key.startswith(still)
    }
    modules = [m for key, m in backbone.model.named_modules() if f"{key}.".startswith(still)]
    assert not any(module.training for module in modules)
    assert backbone.training


def test_raises_on_stages_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = TimmBackbone("test_resnet")
    with pytest.raises(
        ValueError, match="freeze_at must be at most 4, the stages of test_resnet, got 5"
    ):
        backbone.freeze_stages(5)
    monkeypatch.delattr(type(backbone.model), "group_matcher")
    with pytest.raises(
        ValueError, match="freeze_at must be 0: timm knows no stages of test_resnet"
    ):
        backbone.freeze_stages(1)
