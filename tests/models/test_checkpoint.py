"""Saving, opening and sharing: all travels, no file runs code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from agnet_vision.errors import CheckpointError
from agnet_vision.models import checkpoint
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.checkpoint import CONFIG, WEIGHTS, describe, read_checkpoint
from tests.conftest import random_regions
from tests.models.tiny import save, tiny


def test_round_trip(tmp_path: Path) -> None:
    model = tiny()
    model.data_config["input_size"] = (3, 48, 48)
    loaded = load_model(save(model, tmp_path / "best.ckpt"))
    assert loaded.classes == ("left", "right")
    assert tuple(loaded.data_config["input_size"]) == (3, 48, 48)
    assert loaded.proposer.settings() == model.proposer.settings()
    for (name, value), other in zip(
        model.state_dict().items(), loaded.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name


def test_raises_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_model(tmp_path / "best.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a file"])
def test_raises_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(tmp_path / "best.ckpt")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_raises_unsafe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="could run code"):
        load_model(tmp_path / "best.ckpt")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "old.ckpt")
    assert capsys.readouterr().out == ""


def test_raises_foreign(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of agnet_vision"):
        load_model(tmp_path / "best.ckpt")


def test_raises_weights_that_are_none(tmp_path: Path) -> None:
    torch.save({"state_dict": [1], "agnet": describe(tiny())}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(tmp_path / "best.ckpt")


@pytest.mark.parametrize("name", ["x" * 300, "a/b/c", "no\0thing"])
def test_raises_no_such_place(name: str) -> None:
    with pytest.raises(CheckpointError, match="there is no"):
        load_model(name)


def test_raises_on_a_packed_checkpoint(tmp_path: Path) -> None:
    """A few kB that unpack to a GiB are refused."""
    torch.save({"state_dict": {}, "agnet": describe(tiny())}, tmp_path / "plain.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "plain.ckpt") as source,
        zipfile.ZipFile(tmp_path / "best.ckpt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
        with target.open("archive/data/0", "w", force_zip64=True) as file:
            for _ in range(64):
                file.write(bytes(2**20))
    assert (tmp_path / "best.ckpt").stat().st_size < 2**17
    with pytest.raises(CheckpointError, match=r"must not be compressed, it has .* unpacks to 67,"):
        load_model(tmp_path)


def test_a_run_folder_is_opened_by_its_best(tmp_path: Path) -> None:
    model = save(tiny(), tmp_path / "best.ckpt")
    assert load_model(tmp_path).classes == load_model(model).classes == ("left", "right")


def test_value_saved_folder(saved_model: AGNet, saved_folder: Path) -> None:
    loaded = load_model(saved_folder)
    assert not loaded.training
    assert loaded.classes == saved_model.classes
    assert loaded.data_config == saved_model.data_config
    assert loaded.proposer.settings() == saved_model.proposer.settings()
    images, regions = torch.randn(2, 3, 160, 160), random_regions(2, 2)
    assert torch.equal(loaded(images, regions), saved_model(images, regions))


def test_others_may_read_what_is_saved(saved_folder: Path) -> None:
    """All files have the rights of the user's umask."""
    (saved_folder / "other").touch()
    rights = (saved_folder / "other").stat().st_mode
    assert {path.stat().st_mode for path in saved_folder.iterdir()} == {rights}


def test_raises_on_a_pickle(saved_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pickle instead of the weights is refused, not run."""
    (saved_folder / WEIGHTS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_model(saved_folder)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"format": 99, "model": {}}'])
def test_raises_on_config(saved_folder: Path, text: str) -> None:
    (saved_folder / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=r"not a configuration|describes no|update agnet"):
        load_model(saved_folder)


def test_raises_on_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has neither best\.ckpt nor config\.json"):
        load_model(tmp_path)
    (tmp_path / CONFIG).write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        load_model(tmp_path)


def test_raises_on_an_endless_config(saved_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_CONFIG_BYTES", 100)
    with pytest.raises(CheckpointError, match="must have at most 100 bytes"):
        load_model(saved_folder)


@pytest.mark.parametrize("name", ["nobody/nothing", "not a/name"])
def test_raises_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that cannot be had is one sentence."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=f"{name} is neither a folder"):
        load_model(name)


def test_value_download(saved_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files are fetched, of that revision, with that login."""
    asked: dict = {}

    def fetch(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(saved_folder)

    monkeypatch.setattr(checkpoint, "snapshot_download", fetch)
    loaded = AGNet.from_pretrained("me/birds", revision="v1", token="mine")
    assert loaded.classes == ("ant", "bee", "cat")
    assert asked == {
        "repository": "me/birds",
        "revision": "v1",
        "token": "mine",
        "allow_patterns": [CONFIG, WEIGHTS],
    }
