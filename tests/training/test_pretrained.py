"""Weights for the backbone: from the net, from a file, or a clear refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from torch import nn

from agnet_vision import AGNet
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.training.pretrained import check_backbone_options, load_backbone
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, Recorder, differ


@pytest.mark.timeout(20)
def test_raises_at_once_without_a_network(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's own client would try again for most of a minute."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    message = r"weights of test_resnet\..*: http://127.0.0.1:9 cannot be reached .*pretrained=false"
    with pytest.raises(ConfigError, match=message):
        train(configure("backbone.pretrained=true"))
    assert not constants.HF_HUB_OFFLINE


def test_raises_on_a_network_without_weights(configure: Configure) -> None:
    words = ("backbone=timm", "backbone.name=botnet50ts_256", "backbone.pretrained=true")
    with pytest.raises(ConfigError, match=r"weights of botnet50ts_256: .*pretrained=false"):
        train(configure(*words))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_tiny_patch16_224", {"output_stride": 16}, r"output_stride=16 \(.*; change backbone"),
        ("vgg11", {"output_stride": 16}, "vgg11 does not take output_stride=16"),
        ("test_resnet", {"output_stride": 16, "nonsense": 1}, "nonsense=1 .*argument 'nonsense'"),
        ("test_resnet", {"drop_path_rate": "abc"}, "does not take drop_path_rate='abc'"),
        ("test_resnet", {"norm_layer": "none"}, "does not take norm_layer='none'"),
        ("test_resnet", {"global_pool": "max"}, r"kwargs\.global_pool=max has no effect"),
        ("test_vit", {"drop_rate": 0.3}, r"kwargs\.drop_rate=0\.3 has no effect"),
        ("test_efficientnet", {"drop_rate": 0.3, "drop_path_rate": 0.1}, "drop_rate=0.3 has no"),
    ],
)
def test_raises_on_options_the_backbone_has_not(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_backbone_options(name, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"no weights", b"", b"\x80\x02}q\x00cfoo\nbar\n", {"a": 5, 3: 4}, [1]]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_raises_on_a_file_without_weights(
    tmp_path: Path, content: bytes | dict | list, suffix: str
) -> None:
    file = tmp_path / f"weights{suffix}"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(
        CheckpointError,
        match=r"must hold weights and nothing else, .*weights\..* holds something else",
    ):
        load_backbone(nn.Linear(2, 2), str(file))


def test_raises_on_entries_that_are_no_tensors(tmp_path: Path) -> None:
    torch.save({"weight": 5, "bias": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(
        CheckpointError,
        match=r"does not fit the backbone Linear \(.*weight.*\); choose the backbone",
    ):
        load_backbone(nn.Linear(2, 2), str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("prefix", ["", "model.", "net.", "encoder.", "student.net._orig_mod."])
def test_weights_of_other_trainers(tmp_path: Path, prefix: str) -> None:
    given, other = (timm.create_model("test_resnet", num_classes=0) for _ in range(2))
    state = {f"{prefix}{name}": value for name, value in given.state_dict().items()}
    state |= {"head.weight": torch.zeros(3, 2), "criterion.weight": torch.ones(3)}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    load_backbone(other, str(tmp_path / "last.ckpt"))
    for name, value in other.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name


def test_options_with_an_effect_are_taken() -> None:
    check_backbone_options("test_vit", {"global_pool": "avg"})  # it moves the last norm
    check_backbone_options("test_resnet", {"drop_path_rate": 0.1})


def test_weights_of_a_folder(tmp_path: Path) -> None:
    """A run or saved folder stands for the weights inside."""
    model = AGNet("test_resnet", 2, num_clusters=2, head_kwargs={"pool_size": 2})
    model.save_pretrained(tmp_path / "saved")
    (tmp_path / "run").mkdir()
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "run" / "best.ckpt")
    for name in ("saved", "run"):
        other = AGNet("test_resnet", 2, num_clusters=2, head_kwargs={"pool_size": 2})
        load_backbone(other.backbone.model, str(tmp_path / name))
        for key, value in other.backbone.state_dict().items():
            assert torch.equal(value, model.backbone.state_dict()[key]), key
    for name in (".", "none.pth"):
        with pytest.raises(CheckpointError, match=r"is no file, and no folder with best\.ckpt"):
            load_backbone(model.backbone.model, str(tmp_path / name))


def test_backbone_checkpoint_and_learning_rates(
    configure: Configure, recorder: Recorder, tmp_path: Path
) -> None:
    given = timm.create_model("test_resnet.r160_in1k").state_dict()
    generator = torch.Generator().manual_seed(5)
    for value in given.values():
        value.copy_(torch.rand(value.shape, generator=generator))  # the statistics, too
    torch.save(given, tmp_path / "backbone.pth")
    checkpoint = f"backbone.checkpoint={tmp_path / 'backbone.pth'}"
    train(configure(*PLAIN, checkpoint, "optimizer.backbone_lr=0"))

    prefix = "model.backbone.model."
    learning = dict(recorder.module.named_parameters())
    backbone = {
        name: value for name, value in recorder.weights_at_start.items() if name.startswith(prefix)
    }
    assert len(backbone) > 50
    for name, value in backbone.items():
        assert torch.equal(value, given[name.removeprefix(prefix)]), name
        if name in learning:
            assert torch.equal(value, recorder.weights[-1][name]), name
    assert differ(recorder.weights_at_start, recorder.weights[-1], "model.head.")
