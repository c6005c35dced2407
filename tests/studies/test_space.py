"""What a search draws, and what it refuses at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import conf_folder
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.space import Search, distribution, read_search


def test_value_distributions() -> None:
    assert distribution("a", ["x", [-2], None]) == CategoricalDistribution(('"x"', "[-2]", "null"))
    assert distribution("a", {"low": 96, "high": 192, "step": 32}) == IntDistribution(
        96, 192, step=32
    )
    assert distribution("a", {"low": 1e-4, "high": 1, "log": True}) == FloatDistribution(
        1e-4, 1, log=True
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3, "must be a list of values, or a range"),
        ([], "must be a list of values, or a range"),
        ({"low": 1, "high": 3, "hihg": 4}, "must be a list of values, or a range"),
        ({"low": 3.0, "high": 1.0}, r"space\.image_size .*`low <= high` must hold"),
        ([0], "image_size must be a whole number in"),
        ({"low": 0, "high": 3}, "image_size must be a whole number in"),
    ],
)
def test_wrong_entries(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_search("demo", {}, {"image_size": values})


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lrr; did you mean optimizer\.lr"):
        read_search("demo", {}, {"optimizer.lrr": [1.0]})
    path = tmp_path / "mine.yaml"
    path.write_text("spaces: {}\n")
    with pytest.raises(ConfigError, match="must hold base and space, got spaces"):
        read_search(str(path), {}, {})


def test_layers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    content = {"base": {"epochs": 1, "backbone": "resnet18"}, "space": {"image_size": [32, 64]}}
    path.write_text(yaml.safe_dump(content))
    search = read_search(
        str(path), {"epochs": 2}, {"image_size": None, "model": ["full"]}, metric="acc"
    )
    assert search.base == {"epochs": 2, "backbone": "resnet18"}
    assert search.space == {"model": ["full"]}
    assert search.metric == "acc"


def test_files_of_ours_are_right() -> None:
    for path in (conf_folder() / "searches").glob("*.yaml"):
        assert read_search(path.stem, {"backbone.pretrained": False}, {}).space
    assert read_search(None, {}, {}) == read_search("demo", {}, {})
    named = read_search(None, {"dataset": "food101"}, {})
    assert named.space == read_search("default", {}, {}).space


def test_another_backbone_comes_before_its_options(tmp_path: Path) -> None:
    search = Search({"backbone": "resnet18", "backbone.freeze_at": 1}, {}, metric="acc")
    drawn = {"backbone.output_stride": "16", "backbone": '"resnet34"', "optimizer.lr": 0.5}
    config = training_options(search.options(drawn, tmp_path))
    assert (config.backbone.name, config.backbone.output_stride) == ("resnet34", 16)
    assert (config.backbone.freeze_at, config.optimizer.lr) == (0, 0.5)
    assert (config.test, config.monitor, config.run_dir) == (False, "acc", str(tmp_path))
