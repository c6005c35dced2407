from __future__ import annotations

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import did_you_mean, unknown_option, validate


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("lr", "optimizer.lr"),
        ("learning_rate", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("max_epochs", "epochs"),
        ("root", "dataset.root"),
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


@pytest.mark.parametrize("name", ["stanford40", "demo"])
def test_an_option_of_other_datasets(name: str) -> None:
    message = f"^dataset={name} has no option .*; it is an option of folder, hf$"
    with pytest.raises(ConfigError, match=message):
        validate(TrainConfig, {"dataset": {"name": name, "test_fraction": 0.2}})


def test_the_nearest_choice() -> None:
    assert did_you_mean("stanford4", ["demo", "stanford40"]) == "; did you mean stanford40?"
    assert did_you_mean("zzz", ["demo", "stanford40"]) == ""
