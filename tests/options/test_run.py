"""What options may be, in the words of Python."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.options.fields import Options, list_options
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.options.validation import look_up, validate


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


EVALUATION = {"checkpoint": "x", "dataset": {"name": "demo"}, "seed": 0, "tta": "none"}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("batch_size", 1, "a whole number of at least 2, got 1"),
        ("seed", -1, r"a whole number in \[0, 4294967295\], got -1"),
        ("seed", 2**32, r"a whole number in \[0, 4294967295\], got 4294967296"),
        ("epochs", 0, "a whole number of at least 1, got 0"),
        ("epochs", 2.0, "a whole number of at least 1, got 2.0"),
        ("epochs", True, "a whole number of at least 1, got True"),
        ("resume", 1, "True or False, or auto, got 1"),
        ("test", 1, "True or False, got 1"),
        ("optimizer.lr", None, "a number of at least 0, got None"),
        ("optimizer.lr", math.nan, "a number of at least 0, got nan"),
        ("optimizer.lr", math.inf, "a number of at least 0, got inf"),
        ("optimizer.lr", "0.1", "a number of at least 0, got '0.1'"),
        ("optimizer.weight_decay", None, "a number of at least 0, got None"),
        ("optimizer.momentum", -1, r"a number in \[0, 1\), got -1"),
        ("optimizer.layer_decay", 0, r"a number in \(0, 1\], or None, got 0"),
        ("loss.label_smoothing", 1, r"a number in \[0, 1\), got 1"),
        ("augmentation.crop_fraction", 0, r"a number in \[0.01, 1\], got 0"),
        ("augmentation.rotation_degrees", 181, r"a number in \[0, 180\], got 181"),
        ("gradient_clip", -1, "a number of at least 0, or None, got -1"),
        ("workers", "abc", "a whole number of at least 0, or None, got 'abc'"),
        ("early_stopping_patience", "two", "a whole number of at least 0, or None, got 'two'"),
        ("freeze_backbone_epochs", -1, "a whole number of at least 0, got -1"),
        ("ema_decay", "abc", r"a number in \(0, 1\), or None, got 'abc'"),
        ("ema_decay", 1.0, r"a number in \(0, 1\), or None, got 1.0"),
        ("schedule.step_factor", -1, r"a number in \[0, 1\], got -1"),
        ("schedule.final_fraction", -5, r"a number in \[0, 1\], got -5"),
        (
            "monitor",
            "mapp",
            "one of acc, mAP, mean_per_class_acc, loss, got 'mapp'; did you mean mAP",
        ),
        ("trainer.precision", "bf16-true", "one of 32-true, bf16-mixed, 16-mixed, got 'bf16-true'"),
        ("run_dir", 5, "text, or None, got 5"),
        ("run_dir", "", "text, or None, got ''"),
        ("dataset.root", 5, "text, or None, got 5"),
        ("trainer.devices", 1.5, "a number, a list of them, or auto, got 1.5"),
        (
            "logger.name",
            "tensorbord",
            "one of tensorboard, csv, wandb, mlflow, comet, none, or a list",
        ),
        ("logger.name", ["csv", "none"], "one of tensorboard, .*, or a list of them, got"),
    ],
)
def test_raises(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be {rule}") as caught:
        validate(TrainConfig, nested(name, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"optimizer": 5},
            "optimizer is a group of options; give one of them, optimizer.name for one",
        ),
        (
            {"dataset": {"name": "stanford4"}},
            "dataset must be one of demo, .*; did you mean stanford40",
        ),
        (
            {"dataset": {"name": "folder", "val_fraction": 1}},
            r"dataset.val_fraction must be a number in \[0, 0.99\]",
        ),
        ({"dataset": {"name": "food101", "csv": "x"}}, "has no option dataset.csv; .* of folder"),
        ({"optimizer": {"sgd": 1}}, "there is no option optimizer.sgd"),
        ({"dataset": {"name": "hf"}}, r"dataset\.path must be given: name on the Hub"),
        (
            {"optimiser": {"lr": 1}, "epochs": -1},
            "there is no option optimiser.lr; did you mean optimizer.lr",
        ),
    ],
)
def test_raises_on_groups(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(TrainConfig, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gradient_clip", None),
        ("workers", None),
        ("early_stopping_patience", 0),
        ("ema_decay", 0.5),
        ("schedule.warmup_epochs", 0.5),
        ("schedule.warmup_epochs", 3),
        ("augmentation.rotation_degrees", 7.5),
        ("batch_size", 2),
        ("trainer.devices", [0, 1]),
        ("trainer.devices", "auto"),
    ],
)
def test_allowed(name: str, value: Any) -> None:
    options = validate(TrainConfig, nested(name, value))
    assert look_up(options.model_dump(), name) == value


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("seed", -1, "a whole number in .*, got -1"),
        ("batch_size", 0, "a whole number of at least 1, got 0"),
        ("workers", -1, "a whole number of at least 0, or None, got -1"),
        ("split", "tset", "one of train, val, test, got 'tset'; did you mean test"),
        ("checkpoint", 5, "text, got 5"),
        ("checkpoint", None, "text, got None"),
    ],
)
def test_raises_of_evaluation(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be {rule}"):
        validate(EvaluateConfig, EVALUATION | nested(name, value))


def test_evaluation_takes_single_images() -> None:
    validate(EvaluateConfig, {**EVALUATION, "batch_size": 1})
    without = {name: value for name, value in EVALUATION.items() if name != "checkpoint"}
    with pytest.raises(ConfigError, match=r"checkpoint must be given: run folder, best\.ckpt"):
        validate(EvaluateConfig, without)


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    config = validate(
        TrainConfig, {"dataset": {"name": "folder", "root": "~/my data"}, "run_dir": tmp_path / "a"}
    )
    assert config.dataset.root == str(tmp_path / "home" / "my data")
    assert config.run_dir == str(tmp_path / "a")
    assert validate(TrainConfig, {"cache_dir": "cache"}).cache_dir == str(tmp_path / "cache")
    named = validate(EvaluateConfig, {**EVALUATION, "checkpoint": "owner/name"})
    assert named.checkpoint == "owner/name"


@pytest.mark.parametrize("schema", [TrainConfig, EvaluateConfig])
def test_every_option_is_described_and_its_default_allowed(schema: type[Options]) -> None:
    for option in list_options(schema):
        assert option.description, option.name
        assert "\n" not in option.description, option.name
    required = EVALUATION if schema is EvaluateConfig else {}
    config = validate(schema, required)
    assert validate(schema, config.model_dump()) == config
