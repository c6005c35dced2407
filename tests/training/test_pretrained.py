from __future__ import annotations

import socket
from pathlib import Path

import pytest
import timm
import torch

from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.training.pretrained import check_backbone

BY_URL = "legacy_seresnet18.in1k"  # timm knows an address of its weights, no repository of the Hub


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Keep hosts that are asked for; none answers."""
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
        match=rf"weights of {name} are not .* {host} does not answer; .*checkpoint=FILE",
    ):
        check_backbone(name, pretrained=True, checkpoint=None)
    assert asked == [host]


def test_answering_host_is_enough(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: socket.socket())
    check_backbone(BY_URL, pretrained=True, checkpoint=None)


def test_weights_in_the_cache_of_torch_are_enough(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / Path(timm.models.get_pretrained_cfg(BY_URL).url).name).touch()
    check_backbone(BY_URL, pretrained=True, checkpoint=None)
    assert not asked


def test_nothing_is_asked_for_without_need(asked: list[str], tmp_path: Path) -> None:
    check_backbone("resnet18", pretrained=False, checkpoint=None)
    (tmp_path / "weights.pth").touch()
    check_backbone("resnet18", pretrained=True, checkpoint=str(tmp_path / "weights.pth"))
    assert not asked


def test_raises_on_names_and_files(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"timm has no pretrained weights for botnet50ts_256; .*backbone\.pretrained=false",
    ):
        check_backbone("botnet50ts_256", pretrained=True, checkpoint=None)
    with pytest.raises(CheckpointError, match=r"there is no file .*none\.pth"):
        check_backbone("resnet18", pretrained=True, checkpoint=str(tmp_path / "none.pth"))
