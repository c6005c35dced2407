"""The model card."""

from __future__ import annotations

from pathlib import Path

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
