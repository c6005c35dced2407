"""Every dataset has its schema, with its options alone."""

from __future__ import annotations

from typing import Any

import pytest

from agnet_vision.data.sources.card import datasets_folder
from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import files_of
from agnet_vision.options.resolve import training_options


def values(name: str, **options: Any) -> Any:
    return training_options({"dataset": {"name": name, **options}}).dataset


def test_every_card_has_a_schema() -> None:
    for card in datasets_folder().glob("*/card.yaml"):
        name = card.parent.name
        assert values(name, **({"path": "x"} if name == "hf" else {})).name == name
        assert name in files_of("dataset")


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
    with pytest.raises(ConfigError, match=rf"dataset\.{wrong}"):
        values(**given)
