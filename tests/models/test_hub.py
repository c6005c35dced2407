"""Saving, loading and sharing: everything travels along, and no file can run code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import ModelCard, constants

from agnet_vision import AGNet, RegionProposer, load_model
from agnet_vision.errors import CheckpointError
from agnet_vision.models import checkpoint
from agnet_vision.models.checkpoint import CONFIG, WEIGHTS
from tests.conftest import random_regions


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    proposer = RegionProposer(detector="orb", num_clusters=2, seed=4)
    model = AGNet(
        "test_resnet", 3, num_clusters=2, classes=("ant", "bee", "cat"), proposer=proposer
    )
    model.data_config["mean"] = (0.1, 0.2, 0.3)
    return model.eval()


@pytest.fixture
def folder(model: AGNet, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "saved", model_card_kwargs={"metrics": {"acc": 0.9321}})
    return tmp_path / "saved"


def test_value_round_trip(model: AGNet, folder: Path) -> None:
    loaded = load_model(folder)
    assert not loaded.training
    assert loaded.classes == model.classes
    assert loaded.data_config == model.data_config
    assert loaded.proposer.settings() == model.proposer.settings()
    images, regions = torch.randn(2, 3, 160, 160), random_regions(2, 2)
    assert torch.equal(loaded(images, regions), model(images, regions))


def test_value_from_pretrained(model: AGNet, folder: Path) -> None:
    """The Hub's own name for the same."""
    loaded = AGNet.from_pretrained(folder)
    assert loaded.classes == model.classes
    assert not loaded.training


def test_the_card_tells_scores_and_classes(model: AGNet, folder: Path) -> None:
    """It is written anew when the folder is."""
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "agnet_vision"
    assert card.data.pipeline_tag == "image-classification"
    assert "| acc | 0.9321 |\n" in card.text
    assert "3 classes: ant, bee, cat." in card.text
    assert "with detector `orb`" in card.text
    model.save_pretrained(folder)
    assert "| not measured | |" in (folder / "README.md").read_text()


def test_others_may_read_what_is_saved(folder: Path) -> None:
    """All files have the rights that the user's umask gives a new file."""
    (folder / "other").touch()
    rights = (folder / "other").stat().st_mode
    assert {path.stat().st_mode for path in folder.iterdir()} == {rights}


class Bomb:
    def __reduce__(self) -> tuple:
        return Path("exploded").touch, ()


def test_raises_on_a_pickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle in the place of the weights is refused, and its code does not run."""
    monkeypatch.chdir(folder)
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_model(folder)
    assert not (folder / "exploded").exists()


def test_raises_on_weights_of_another_model(folder: Path) -> None:
    content = json.loads((folder / CONFIG).read_text())
    content["model"]["num_classes"], content["model"]["classes"] = 4, None
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"format": 99, "model": {}}'])
def test_raises_on_config(folder: Path, text: str) -> None:
    (folder / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=r"not a configuration|describes no|update agnet"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "value"), [("mean", "gray"), ("std", [0.2, 0, 0.2]), ("input_size", None)]
)
def test_raises_on_data_config(folder: Path, name: str, value: object) -> None:
    content = json.loads((folder / CONFIG).read_text())
    content["model"]["data_config"][name] = value
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"numbers as {name}"):
        load_model(folder)


def test_raises_on_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has neither best\.ckpt nor config\.json"):
        load_model(tmp_path)
    (tmp_path / CONFIG).write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        load_model(tmp_path)


def test_raises_on_an_endless_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_CONFIG_BYTES", 100)
    with pytest.raises(CheckpointError, match="must have at most 100 bytes"):
        load_model(folder)


@pytest.mark.parametrize("name", ["nobody/nothing", "not a/name"])
def test_raises_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that cannot be had, offline or misspelt, is one sentence."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=f"{name} is neither a folder"):
        load_model(name)


def test_value_download(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files are fetched, of the revision and with the login that are given."""
    asked: dict = {}

    def fetch(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(folder)

    monkeypatch.setattr(checkpoint, "snapshot_download", fetch)
    loaded = AGNet.from_pretrained("me/birds", revision="v1", token="mine")
    assert loaded.classes == ("ant", "bee", "cat")
    assert asked == {
        "repository": "me/birds",
        "revision": "v1",
        "token": "mine",
        "allow_patterns": [CONFIG, WEIGHTS],
    }


def test_push_uploads_the_folder(model: AGNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is asked for a repository, then given the three files, with the scores."""
    uploaded: dict[str, str] = {}

    class Api:
        def __init__(self, **options: object) -> None: ...

        def create_repo(self, repo_id: str, **options: object) -> SimpleNamespace:
            assert options == {"private": True, "exist_ok": True}
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, *, repo_id: str, folder_path: Path, **options: object) -> str:
            assert repo_id == "me/birds"
            for path in folder_path.iterdir():
                uploaded[path.name] = path.read_text(errors="replace")
            return "commit"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    scores = {"metrics": {"acc": 0.5}}
    assert model.push_to_hub("me/birds", private=True, model_card_kwargs=scores) == "commit"
    assert sorted(uploaded) == ["README.md", "config.json", "model.safetensors"]
    assert "| acc | 0.5000 |" in uploaded["README.md"]
