"""What is out of bounds is refused, nothing made."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch

from agnet_vision.models import description
from agnet_vision.models.agnet import AGNet


@cache
def plain_config() -> dict[str, Any]:
    with torch.device("meta"):
        return AGNet("test_resnet", 2, num_clusters=2, head_kwargs={"pool_size": 2}).config()


def config(**changes: Any) -> dict[str, Any]:
    """A network's configuration with some entries, or entries of entries, changed."""
    plain = dict(plain_config())
    for name, value in changes.items():
        plain[name] = {**plain[name], **value} if isinstance(value, Mapping) else value
    return plain


def refused(**changes: Any) -> str:
    """The words with which a configuration is refused, at once."""
    strange = config(**changes)
    started = time.process_time()
    with pytest.raises((ValueError, TypeError)) as caught, torch.device("meta"):
        AGNet.from_config(strange)
    assert time.process_time() - started < 10
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_config": {"crop_pct": None}}, "crop_pct must be a number in [0.01, 1], got None"),
        ({"data_config": {"interpolation": "lanczos9"}}, "interpolation must be one of"),
        ({"data_config": {"crop_mode": ["center"]}}, "crop_mode must be one of"),
        ({"data_config": {"input_size": [3, 10**6, 10**6]}}, "numbers as input_size"),
        ({"data_config": {"input_size": None}}, "numbers as input_size"),
        ({"data_config": {"mean": "gray"}}, "numbers as mean"),
        ({"data_config": {"mean": [0.5, 0.5, math.nan]}}, "numbers as mean"),
        ({"data_config": {"std": [0.2, 0.2]}}, "numbers as std"),
        ({"num_classes": 10**9}, "num_classes must be a whole number"),
        ({"num_clusters": 1000}, "num_clusters must be a whole number in [1, 64], got 1000"),
        ({"head_kwargs": {"pool_size": 10**6}}, "pool_size must be a whole number"),
        ({"regions": {"max_side": 10**7}}, "max_side must be a whole number"),
        ({"regions": 5}, "'int' object is not iterable"),
        ({"regions": {"keep_fraction": 0}}, "keep_fraction must be a number in [0.001, 1], got 0"),
        ({"taps": [10**9]}, "taps must be null or a list"),
        ({"taps": list(range(100))}, "taps must be null or a list"),
        ({"backbone": None}, "backbone must be the name"),
        ({"backbone": "hf-hub:someone/something"}, "backbone must be the name"),
        ({"backbone_kwargs": {"checkpoint_path": "x.pth"}}, "name no files and no network"),
        ({"backbone_kwargs": {"pretrained_cfg": "x"}}, "name no files and no network"),
        ({"more": 1}, "unexpected keyword"),
        ({"backbone_kwargs": {"embed_dim": 10**9}}, "got embed_dim=1000000000"),
        ({"backbone_kwargs": {"act_layer": {"a": 1}}}, "got act_layer="),
        ({"backbone_kwargs": {"pad_type": "x" * 1000}}, "got pad_type="),
        ({"backbone_kwargs": {"depths": [1] * 1000}}, "at most 256 of them, got depths="),
        ({"backbone_kwargs": {"drop_rate": math.nan}}, "got drop_rate=nan"),
    ],
)
def test_raises_on_sizes(changes: dict[str, Any], words: str) -> None:
    assert words in refused(**changes)


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("test_vit", {"depth": 10_000}),
        ("test_resnet", {"layers": [2000, 2000, 2000, 2000]}),
        ("dla34", {"levels": [1, 1, 30, 2, 2, 1]}),
    ],
)
def test_raises_on_endless_networks(
    backbone: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The making stops at too many layers."""
    monkeypatch.setattr(description, "MAX_MODULES", 500)
    assert "at most 500 modules" in refused(backbone=backbone, backbone_kwargs=options)
