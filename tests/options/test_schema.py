"""The values that options may have, and what is said of others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from agnet_vision.data.sources.card import datasets_folder
from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import files_of
from agnet_vision.options.fields import Options, list_options
from agnet_vision.options.resolve import evaluation_options, training_options
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.options.validation import did_you_mean, look_up, unknown_option, validate

EVALUATION = {"checkpoint": "x", "dataset": "demo"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("batch_size", 1, "a whole number of at least 2, got 1"),
        ("seed", -1, r"a whole number in \[0, 4294967295\], got -1"),
        ("epochs", 2.0, "a whole number of at least 1, got 2.0"),
        ("epochs", True, "a whole number of at least 1, got true"),
        ("resume", 1, "true or false, or auto, got 1"),
        ("optimizer.lr", math.nan, "a number of at least 0, got nan"),
        ("optimizer.lr", "0.1", "a number of at least 0, got '0.1'"),
        ("optimizer.layer_decay", 0, r"a number in \(0, 1\], or null, got 0"),
        ("monitor", "maP", "one of acc, mAP, .*, got 'maP'; did you mean mAP"),
        ("run_dir", 5, "text, got 5"),
        ("trainer.devices", 1.5, "a number, a list of them, or auto, got 1.5"),
        ("backbone.output_stride", 3, "one of 8, 16, 32, or null, got 3"),
        ("backbone.taps", -2, r"a list such as \[-2\] or \[-2,-1\], or null, got -2"),
        ("backbone.taps", [], r"a list such as .* got \[\]"),
        ("model.head.dropout", None, r"a number in \[0, 0.99\], got null"),
        ("regions.max_side", 10, r"a whole number in \[32, 8192\], got 10"),
    ],
)
def test_raises(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be {rule}") as caught:
        training_options({name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": 5}, "optimizer is a group .* give one of them, optimizer.name for one"),
        ({"optimizer": {"sgd": 1}}, "there is no option optimizer.sgd"),
        ({"optimiser": {"lr": 1}, "epochs": -1}, "no option optimiser; did you mean optimizer"),
        ({"model": {"head": {"dropuot": 0.2}}}, "did you mean model.head.dropout"),
        ({"dataset": {"name": "stanford4"}}, "dataset must be one of .*; did you mean stanford40"),
        ({"dataset": {"name": "food101", "csv": "x"}}, "has no option dataset.csv; .* of folder"),
        ({"dataset": {"name": "hf"}}, r"dataset\.path must be given: name on the Hub"),
        ({"dataset": {"name": "food101", "val_fraction": 1.0}}, r"dataset\.val_fraction must be"),
        ({"dataset": {"name": "caltech256", "split_seed": 5}}, r"dataset\.split_seed must be"),
        ({"backbone": "timm"}, "backbone.name must be given: any name of timm"),
        ({"backbone": "test_resne"}, "no model 'test_resne'; did you mean test_resnet"),
        ({"backbone.kwargs": {"in_chans": 1}}, "must not have in_chans, which .*; leave it out"),
        (
            {"backbone": {"kwargs": {"embed_dim": 10**6}}},
            r"backbone_kwargs must hold text, a number in .* got embed_dim=1000000",
        ),
    ],
)
def test_raises_on_groups(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        training_options(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["stanford40", "demo"])
def test_an_option_of_other_datasets(name: str) -> None:
    message = f"^dataset={name} has no option .*; it is an option of folder, hf$"
    with pytest.raises(ConfigError, match=message):
        validate(TrainConfig, {"dataset": {"name": name, "test_fraction": 0.2}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", None),
        ("schedule.warmup_epochs", 0.5),
        ("trainer.devices", [0, 1]),
        ("trainer.devices", "auto"),
        ("backbone.taps", [-2, -1]),
    ],
)
def test_allowed(name: str, value: Any) -> None:
    options = training_options({name: value})
    assert look_up(options.model_dump(), name) == value


def test_evaluation() -> None:
    assert evaluation_options({**EVALUATION, "batch_size": 1}).batch_size == 1
    with pytest.raises(ConfigError, match=r"checkpoint must be given: run folder, best\.ckpt"):
        evaluation_options({"dataset": "demo"})
    with pytest.raises(ConfigError, match=r"split must be one of .*'tset'; did you mean test"):
        evaluation_options({**EVALUATION, "split": "tset"})


def test_every_card_has_a_schema() -> None:
    for card in datasets_folder().glob("*/card.yaml"):
        name = card.parent.name
        options = {"name": name, **({"path": "x"} if name == "hf" else {})}
        assert training_options({"dataset": options}).dataset.name == name
        assert name in files_of("dataset")


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    config = training_options(
        {"dataset": "folder", "dataset.root": "~/my data", "run_dir": Path("a")}
    )
    assert config.dataset.root == str(tmp_path / "home" / "my data")
    assert config.run_dir == str(tmp_path / "a")
    places = {"owner/name": "owner/name", "~/b": str(tmp_path / "home" / "b")}
    for given, place in places.items():
        assert evaluation_options({**EVALUATION, "checkpoint": given}).checkpoint == place


@pytest.mark.parametrize("schema", [TrainConfig, EvaluateConfig])
def test_every_option_is_described(schema: type[Options]) -> None:
    for option in list_options(schema):
        assert option.description, option.name
        assert "\n" not in option.description, option.name


def test_what_is_stored_is_allowed() -> None:
    config = training_options({"logger": ["csv", "wandb"], "run_dir": "x"})
    assert validate(TrainConfig, config.model_dump()) == config


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("lr", "optimizer.lr"),
        ("learning_rate", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("max_epochs", "epochs"),
        ("dataset.rot", "dataset.root"),
        ("head.dropout", "model.head.dropout"),
        ("wd", "optimizer.weight_decay"),
        ("xyzzy", None),
    ],
)
def test_the_nearest_name(name: str, nearest: str | None) -> None:
    message = str(unknown_option(TrainConfig, name))
    assert message == f"there is no option {name}" + (
        f"; did you mean {nearest}?" if nearest else "; --help lists all"
    )
    assert did_you_mean("zzz", ["demo", "stanford40"]) == ""
