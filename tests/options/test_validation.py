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
        ("optimizer.learning_rate", "optimizer.lr"),
        ("optimizer.lrr", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("optimizer.backbone_rl", "optimizer.backbone_lr"),
        ("max_epochs", "epochs"),
        ("epoch", "epochs"),
        ("num_workers", "workers"),
        ("root", "dataset.root"),
        ("dataset.rot", "dataset.root"),
        ("num_clusters", "regions.num_clusters"),
        ("head.dropout", "model.head.dropout"),
        ("momentum", "optimizer.momentum"),
        ("wd", "optimizer.weight_decay"),
        ("gradient_clip_val", "gradient_clip"),
        ("xyzzy", None),
    ],
)
def test_the_nearest_name(name: str, nearest: str | None) -> None:
    message = str(unknown_option(TrainConfig, name))
    assert message == f"there is no option {name}" + (
        f"; did you mean {nearest}?" if nearest else "; --help lists all"
    )


@pytest.mark.parametrize("given", [{"name": "stanford40"}, {"name": "demo"}])
def test_an_option_of_other_datasets(given: dict[str, str]) -> None:
    name = given.get("name", "demo")
    with pytest.raises(
        ConfigError,
        match=f"^dataset={name} has no option .*; it is an option of folder, hf$",
    ):
        validate(TrainConfig, {"dataset": {**given, "test_fraction": 0.2}})


def test_the_nearest_choice() -> None:
    assert did_you_mean("stanford4", ["demo", "stanford40"]) == "; did you mean stanford40?"
    assert did_you_mean("zzz", ["demo", "stanford40"]) == ""
