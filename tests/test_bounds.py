"""Bounds stand once, and all who read them agree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from agnet_vision import RegionProposer, load_model
from agnet_vision.bounds import BOUNDS, Bound
from agnet_vision.errors import ConfigError
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.fields import list_options
from agnet_vision.options.resolve import training_options
from agnet_vision.options.run import TrainConfig

# Option of training -> the name of its bound.
SHARED = {
    "regions.num_clusters": "num_clusters",
    "regions.keep_fraction": "keep_fraction",
    "regions.max_side": "max_side",
    "regions.seed": "seed",
    "seed": "seed",
    "model.head.dropout": "dropout",
    "model.head.width": "width",
    "model.head.pool_size": "pool_size",
    "model.head.upsample": "upsample",
    "model.head.region_dropout": "region_dropout",
    "model.head.attention_units": "attention_units",
    "image_size": "input_size",
    "augmentation.crop_fraction": "crop_pct",
    "dataset.val_fraction": "val_fraction",
    "dataset.test_fraction": "test_fraction",
}


def beyond(bound: Bound) -> list[float]:
    """Return a number just outside at each end."""
    step = 1 if bound.whole else 1e-4
    return [bound.low - step, bound.high + step]


def test_value() -> None:
    whole, share = Bound(1, 8), Bound(0, 1, whole=False)
    assert all(map(whole.holds, (1, 8)))
    assert not any(map(whole.holds, (0, 9, 10**400, 1.5, True, "1", None, math.nan)))
    assert all(map(share.holds, (0, 0.5, 1)))
    assert not any(map(share.holds, (-0.1, math.inf, math.nan, "a")))
    assert str(whole) == "a whole number in [1, 8]"


@pytest.mark.parametrize(("option", "name"), SHARED.items())
def test_the_schema_says_and_keeps_them(option: str, name: str) -> None:
    rules = {each.name: each.rule for each in list_options(TrainConfig)}
    assert rules[option].removesuffix(", or null") == str(BOUNDS[name])
    dataset = {"dataset.name": "folder"} if option.startswith("dataset.") else {}
    for value in beyond(BOUNDS[name]):
        with pytest.raises(ConfigError, match=rf"^{option} must be a .*number in"):
            training_options({**dataset, option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (name, value)
        for name in ("num_clusters", "keep_fraction", "max_side", "seed")
        for value in beyond(BOUNDS[name])
    ],
)
def test_what_cannot_be_opened_cannot_be_made(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be a .*number in"):
        RegionProposer(**{option: value})


@pytest.mark.parametrize("end", [0, 1])
def test_what_is_made_at_the_bounds_is_opened_again(end: int, tmp_path: Path) -> None:
    proposer = RegionProposer(
        num_clusters=2, max_side=int(BOUNDS["max_side"][end]), seed=int(BOUNDS["seed"][end])
    )
    AGNet("test_resnet", 2, num_clusters=2, proposer=proposer).save_pretrained(tmp_path)
    assert load_model(tmp_path).proposer == proposer
