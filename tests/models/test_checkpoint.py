"""Saving, opening and sharing: all travels, no file runs code, none takes more than its size."""

from __future__ import annotations

import json
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


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


@pytest.mark.parametrize("source", ["best.ckpt", ""])
def test_value_run(source: str, tmp_path: Path) -> None:
    """A run is opened by its folder or its checkpoint."""
    model = tiny()
    model.data_config["input_size"] = (3, 48, 48)
    save(model, tmp_path / "best.ckpt")
    loaded = load_model(tmp_path / source)
    assert loaded.config() == model.config()
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_value_saved_folder(saved_model: AGNet, saved_folder: Path) -> None:
    loaded = load_model(saved_folder)
    assert not loaded.training
    assert loaded.config() == saved_model.config()
    images, regions = torch.randn(2, 3, 160, 160), random_regions(2, 2)
    assert torch.equal(loaded(images, regions), saved_model(images, regions))


def test_others_may_read_what_is_saved(saved_folder: Path) -> None:
    """All files have the rights of the user's umask."""
    (saved_folder / "other").touch()
    rights = (saved_folder / "other").stat().st_mode
    assert {path.stat().st_mode for path in saved_folder.iterdir()} == {rights}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best.ckpt", "no checkpoint at"),
        ("", r"has neither best\.ckpt nor config\.json"),
        ("not/there", "does not exist"),
    ],
)
def test_raises_missing(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_model(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"not a checkpoint", "damaged"),
        (b"PK\x03\x04 half a file", "damaged"),
        ([1], "not a checkpoint of agnet_vision"),
        ({"weights": torch.zeros(3)}, "not a checkpoint of agnet_vision"),
        ({"state_dict": [1], "agnet": {}}, "not a checkpoint of agnet_vision"),
        ({"state_dict": {}, "agnet": "text"}, "describes no network"),
        ({"state_dict": {}, "agnet": {"format": 1, "model": [1]}}, "describes no network"),
        ({"state_dict": {}, "agnet": {"format": 99, "model": {}}}, "update agnet_vision"),
    ],
)
def test_raises_on_a_checkpoint(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=words):
        load_model(path)


@pytest.mark.parametrize("text", ["{", "[" * 10**6])
def test_raises_on_a_folder(saved_folder: Path, text: str) -> None:
    (saved_folder / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=r"must have config\.json and model\.safetensors"):
        load_model(saved_folder)


def test_no_file_runs_code(
    saved_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="could run code"):
        load_model(tmp_path / "best.ckpt")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "old.ckpt")
    (saved_folder / WEIGHTS).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"as save_pretrained writes them: .*header"):
        load_model(saved_folder)
    assert capsys.readouterr().out == ""


def test_raises_on_a_packed_checkpoint(tmp_path: Path) -> None:
    """A few kB that unpack to 64 MiB are refused."""
    torch.save({"state_dict": {}, "agnet": {}}, tmp_path / "plain.ckpt")
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


def test_raises_on_weights_that_are_not_in_the_file(tmp_path: Path) -> None:
    """One stored value stands for all of a large layer: the shapes fit, but the file is tiny."""
    with torch.device("meta"):
        large = AGNet("test_resnet", 10**6, num_clusters=2, head_kwargs={"pool_size": 2})
    state = {
        f"model.{name}": torch.zeros((), dtype=value.dtype).expand(value.shape)
        for name, value in large.state_dict().items()
    }
    content = {"state_dict": state, "agnet": describe(large.config())}
    torch.save(content, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"network of 97,\d*,\d* values, more than a file of"):
        load_model(tmp_path)


def test_raises_on_a_network_of_other_weights(saved_folder: Path) -> None:
    """Nothing is made that the file cannot fill."""
    content = json.loads((saved_folder / CONFIG).read_text())
    content["model"] |= {"num_classes": 10**6, "classes": None}
    (saved_folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"do not fit .* the first is head\.classifier"):
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
