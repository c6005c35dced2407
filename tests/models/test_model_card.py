"""The model card, and what is uploaded with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard

from agnet_vision import AGNet


def test_the_card_tells_scores_and_classes(saved_model: AGNet, saved_folder: Path) -> None:
    """It is written anew when the saved_folder is."""
    card = ModelCard.load(saved_folder / "README.md")
    assert card.data.library_name == "agnet_vision"
    assert card.data.pipeline_tag == "image-classification"
    assert "| acc | 0.9321 |\n" in card.text
    assert "3 classes: ant, bee, cat." in card.text
    assert "with detector `orb`" in card.text
    saved_model.save_pretrained(saved_folder)
    assert "| not measured | |" in (saved_folder / "README.md").read_text()


def test_push_uploads_the_folder(saved_model: AGNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub gets the three files, with the scores."""
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
    assert saved_model.push_to_hub("me/birds", private=True, model_card_kwargs=scores) == "commit"
    assert sorted(uploaded) == ["README.md", "config.json", "model.safetensors"]
    assert "| acc | 0.5000 |" in uploaded["README.md"]
