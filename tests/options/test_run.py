"""The values that options may have."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.options.fields import Options, list_options
from agnet_vision.options.resolve import evaluation_options, training_options
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.options.validation import look_up, validate

EVALUATION = {"checkpoint": "x", "dataset": "demo"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("batch_size", 1, "a whole number of at least 2, got 1"),
        ("seed", -1, r"a whole number in \[0, 4294967295\], got -1"),
        ("epochs", 2.0, "a whole number of at least 1, got 2.0"),
        ("epochs", True, "a whole number of at least 1, got true"),
        ("resume", 1, "true or false, or auto, got 1"),
        ("optimizer.lr", None, "a number of at least 0, got null"),
        ("optimizer.lr", math.nan, "a number of at least 0, got nan"),
        ("optimizer.lr", "0.1", "a number of at least 0, got '0.1'"),
        ("optimizer.momentum", -1, r"a number in \[0, 1\), got -1"),
        ("optimizer.layer_decay", 0, r"a number in \(0, 1\], or null, got 0"),
        ("loss.label_smoothing", 1, r"a number in \[0, 1\), got 1"),
        ("augmentation.crop_fraction", 0, r"a number in \[0.01, 1\], got 0"),
        ("workers", "abc", "a whole number of at least 0, or null, got 'abc'"),
        ("ema_decay", 1.0, r"a number in \(0, 1\), or null, got 1.0"),
        ("monitor", "mapp", "one of acc, mAP, .*, loss, got 'mapp'; did you mean mAP"),
        ("trainer.precision", "bf16-true", "one of 32-true, bf16-mixed, 16-mixed, got 'bf16-true'"),
        ("run_dir", 5, "text, got 5"),
        ("trainer.devices", 1.5, "a number, a list of them, or auto, got 1.5"),
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
        ({"dataset": {"name": "stanford4"}}, "dataset must be one of .*; did you mean stanford40"),
        ({"dataset": {"name": "food101", "csv": "x"}}, "has no option dataset.csv; .* of folder"),
        ({"optimizer": {"sgd": 1}}, "there is no option optimizer.sgd"),
        ({"dataset": {"name": "hf"}}, r"dataset\.path must be given: name on the Hub"),
        ({"optimiser": {"lr": 1}, "epochs": -1}, "optimiser.lr; did you mean optimizer.lr"),
    ],
)
def test_raises_on_groups(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        training_options(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gradient_clip", None),
        ("workers", None),
        ("schedule.warmup_epochs", 0.5),
        ("trainer.devices", [0, 1]),
        ("trainer.devices", "auto"),
    ],
)
def test_allowed(name: str, value: Any) -> None:
    options = training_options({name: value})
    assert look_up(options.model_dump(), name) == value


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("seed", -1, "a whole number in .*, got -1"),
        ("split", "tset", "one of train, val, test, got 'tset'; did you mean test"),
        ("checkpoint", 5, "text, got 5"),
        ("checkpoint", None, "text, got null"),
    ],
)
def test_raises_of_evaluation(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be {rule}"):
        evaluation_options({**EVALUATION, name: value})


def test_evaluation_takes_single_images() -> None:
    assert evaluation_options({**EVALUATION, "batch_size": 1}).batch_size == 1
    with pytest.raises(ConfigError, match=r"checkpoint must be given: run folder, best\.ckpt"):
        evaluation_options({"dataset": "demo"})


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    config = training_options(
        {"dataset": "folder", "dataset.root": "~/my data", "run_dir": tmp_path / "a"}
    )
    assert config.dataset.root == str(tmp_path / "home" / "my data")
    assert config.run_dir == str(tmp_path / "a")
    assert training_options({"cache_dir": "cache"}).cache_dir == str(tmp_path / "cache")
    named = evaluation_options({**EVALUATION, "checkpoint": "owner/name"})
    assert named.checkpoint == "owner/name"


@pytest.mark.parametrize("schema", [TrainConfig, EvaluateConfig])
def test_every_option_is_described(schema: type[Options]) -> None:
    for option in list_options(schema):
        assert option.description, option.name
        assert "\n" not in option.description, option.name


def test_what_is_stored_is_allowed() -> None:
    config = training_options({"logger": ["csv", "wandb"], "run_dir": "x"})
    assert validate(TrainConfig, config.model_dump()) == config
