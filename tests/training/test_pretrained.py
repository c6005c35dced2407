from __future__ import annotations

import socket
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from agnet_vision import AGNet
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.training.pretrained import check_network_options, check_weights, load_backbone
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, Recorder, differ

BY_URL = "legacy_seresnet18.in1k"  # timm knows an address of its weights, no repository of the Hub


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Keep the hosts asked for, none of which answers."""
    hosts: list[str] = []

    def refuse(address: tuple[str, int], *_: object) -> None:
        hosts.append(address[0])
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.example")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return hosts


@pytest.mark.parametrize(("name", "host"), [("resnet18", "hub.example"), (BY_URL, "github.com")])
def test_raises_when_weights_cannot_be_fetched(asked: list[str], name: str, host: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"weights of {name} are not .* {host} does not answer; .*backbone\.checkpoint",
    ):
        check_weights(name, pretrained=True, checkpoint=None)
    assert asked == [host]


def test_answering_host_is_enough(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: socket.socket())
    check_weights(BY_URL, pretrained=True, checkpoint=None)


def test_weights_in_the_cache_of_torch_are_enough(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / Path(timm.models.get_pretrained_cfg(BY_URL).url).name).touch()
    check_weights(BY_URL, pretrained=True, checkpoint=None)
    assert not asked


def test_nothing_is_asked_for_without_need(asked: list[str], tmp_path: Path) -> None:
    check_weights("resnet18", pretrained=False, checkpoint=None)
    (tmp_path / "weights.pth").touch()
    check_weights("resnet18", pretrained=True, checkpoint=str(tmp_path / "weights.pth"))
    assert not asked


def test_raises_on_weights_that_are_not(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"timm has no pretrained weights for botnet50ts_256; .*backbone\.pretrained=False",
    ):
        check_weights("botnet50ts_256", pretrained=True, checkpoint=None)
    with pytest.raises(CheckpointError, match=r"there is no file .*none\.pth"):
        check_weights("resnet18", pretrained=True, checkpoint=str(tmp_path / "none.pth"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "vit_tiny_patch16_224",
            {"output_stride": 16},
            r"no such option\); leave backbone.output_stride out",
        ),
        ("vgg11", {"output_stride": 16}, "vgg11 does not take output_stride=16"),
        (
            "test_resnet",
            {"output_stride": 16, "nonsense": 1},
            r"take nonsense=1 .*; leave backbone.kwargs.nonsense out",
        ),
        ("test_resnet", {"drop_path_rate": "abc"}, "does not take drop_path_rate='abc'"),
        ("test_resnet", {"norm_layer": "none"}, "does not take norm_layer='none'"),
    ],
)
def test_raises_on_options_the_backbone_has_not(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_network_options(name, options)
    assert "\n" not in str(caught.value)


def test_backbone_takes_its_own_options() -> None:
    check_network_options("test_resnet", {"output_stride": 16, "drop_path_rate": 0.1})


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
        match="1 of 2 tensors are missing or have another shape, the first is weight",
    ):
        load_backbone(nn.Linear(2, 2), str(tmp_path / "weights.pth"))


def test_weights_of_a_folder(asked: list[str], tmp_path: Path) -> None:
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
    with pytest.raises(CheckpointError, match=r"holds neither best\.ckpt nor model\.safetensors"):
        check_weights("resnet18", pretrained=True, checkpoint=str(tmp_path))


def test_backbone_checkpoint_and_learning_rates(
    configure: Configure, recorder: Recorder, tmp_path: Path
) -> None:
    given, generator = (
        timm.create_model("test_resnet.r160_in1k").state_dict(),
        torch.Generator().manual_seed(5),
    )
    for value in given.values():
        value.copy_(torch.rand(value.shape, generator=generator))  # the statistics, too
    torch.save(given, tmp_path / "backbone.pth")
    train(
        configure(
            *PLAIN, f"backbone.checkpoint={tmp_path / 'backbone.pth'}", "optimizer.backbone_lr=0"
        )
    )
    prefix, learning = "model.backbone.model.", dict(recorder.module.named_parameters())
    backbone = {
        name: value for name, value in recorder.weights_at_start.items() if name.startswith(prefix)
    }
    assert len(backbone) > 50
    for name, value in backbone.items():
        assert torch.equal(value, given[name.removeprefix(prefix)]), name
        if name in learning:
            assert torch.equal(value, recorder.weights[-1][name]), name
    assert differ(recorder.weights_at_start, recorder.weights[-1], "model.head.")
