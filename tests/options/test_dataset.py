"""Every dataset has its schema, with its options alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from agnet_vision.data.sources.card import datasets_folder
from agnet_vision.options.dataset import Caltech256, DatasetConfig, Demo, Folder, HeldOut

READ = TypeAdapter(DatasetConfig).validate_python


def test_every_card_has_a_schema() -> None:
    for card in datasets_folder().glob("*/card.yaml"):
        name = card.parent.name
        options: dict[str, Any] = {"path": "x"} if name == "hf" else {}
        assert READ({"name": name, **options}).name == name


def test_value_the_painted_set_is_the_default() -> None:
    assert READ({}) == Demo()


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"name": "stanford40", "clean": True}, "clean"),
        ({"name": "demo", "val_fraction": 0.1}, "val_fraction"),
        ({"name": "food101", "val_fraction": 1.0}, "val_fraction"),
        ({"name": "caltech256", "split_seed": 5}, "split_seed"),
        ({"name": "hf"}, "path"),
    ],
)
def test_raises_on_options_of_others_and_beyond_bounds(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        READ(given)
    assert [error["loc"][-1] for error in caught.value.errors()] == [wrong]


def test_value_defaults_of_what_is_held_out() -> None:
    assert (Folder().test_fraction, Folder().val_fraction, Caltech256().split_seed) == (0.2, 0.1, 0)
    assert issubclass(Caltech256, HeldOut)
    assert not issubclass(Demo, HeldOut)


def test_value_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert READ({"name": "folder", "root": Path("mine")}).root == str(tmp_path / "mine")
    assert READ({"name": "hf", "path": "owner/name"}).path == "owner/name"
