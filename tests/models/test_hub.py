"""Saving, loading and sharing: everything travels along, and no file can run code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from agnet_vision import AGNet, RegionProposer, load_model
from agnet_vision.errors import CheckpointError
from agnet_vision.models.hub import CONFIG, WEIGHTS, push_to_hub, save_pretrained
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
    return save_pretrained(model, tmp_path / "saved", metrics={"acc": 0.9321})


def test_value_round_trip(model: AGNet, folder: Path) -> None:
    loaded = load_model(folder)
    assert not loaded.training
    assert loaded.classes == model.classes
    assert loaded.data_config == model.data_config
    assert loaded.proposer.settings() == model.proposer.settings()
    images, regions = torch.randn(2, 3, 160, 160), random_regions(2, 2)
    assert torch.equal(loaded(images, regions), model(images, regions))


def test_the_card_tells_scores_and_classes(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "| acc | 0.9321 |" in card
    assert "ant, bee, cat" in card


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
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {}}', '{"format": 99, "model": {}}'])
def test_raises_on_config(folder: Path, text: str) -> None:
    (folder / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=r"not a configuration|update agnet_vision"):
        load_model(folder)


@pytest.mark.parametrize(
    ("name", "value"), [("mean", "grey"), ("std", [0.2, 0, 0.2]), ("input_size", None)]
)
def test_raises_on_data_config(folder: Path, name: str, value: object) -> None:
    content = json.loads((folder / CONFIG).read_text())
    content["model"]["data_config"][name] = value
    (folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"numbers as {name}"):
        load_model(folder)


def test_raises_on_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        load_model(tmp_path)


def test_push_uploads_the_folder(
    model: AGNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub is asked for a repository, then given the three files."""
    calls: list[tuple] = []

    class Api:
        def create_repo(self, name: str, **options: object) -> None:
            calls.append((name, options))

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, allow_patterns: list[str]
        ) -> str:
            calls.append(
                (repo_id, sorted(p.name for p in folder_path.iterdir()), sorted(allow_patterns))
            )
            return "commit"

    monkeypatch.setattr("agnet_vision.models.hub.HfApi", Api)
    assert push_to_hub(model, "me/birds", tmp_path, private=True) == "commit"
    files = ["README.md", "config.json", "model.safetensors"]
    assert calls == [("me/birds", {"private": True, "exist_ok": True}), ("me/birds", files, files)]
