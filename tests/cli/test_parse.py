"""Words of a command line to options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agnet_vision.cli.command import load_command
from agnet_vision.cli.parse import parse, quoted, read_override
from agnet_vision.errors import ConfigError

TRAIN = load_command("train")
PREDICT = load_command("predict")
AWKWARD = (
    "my photos/a [1], b=2.jpg",
    "Übung/él à/日本.jpg",
    "it's",
    'say "cheese"',
    "a,b",
    "{x: 1}",
    "$HOME/${y}",
    "50%/#1 (copy).png",
    "back\\slash\\",
    "[ab].jpg",
    "5",
    "true",
    "1e-3",
    "a=b=c",
    "x: y",
    " ",
)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("epochs=3", 3),
        ("optimizer.lr=1e-3", 1e-3),
        ("gradient_clip=null", None),
        ("resume=true", True),
        ("backbone.taps=[-2,-1]", [-2, -1]),
        ("optimizer={lr: 1, name: sgd}", {"lr": 1, "name": "sgd"}),
        ("dataset=folder", "folder"),
        ("experiment=paper", "paper"),
        ("logger=[csv,wandb]", ["csv", "wandb"]),
        ("backbone.kwargs.drop_path_rate=0.1", 0.1),
        ("+backbone.kwargs.drop_path_rate=0.1", 0.1),
        ("++model.head.pool_size=2", 2),
        ("trainer.devices=auto", "auto"),
    ],
)
def test_value(word: str, value: Any) -> None:
    (parsed,) = parse([word], TRAIN).values()
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", AWKWARD)
def test_text_is_taken_as_it_was_typed(text: str) -> None:
    assert parse([f"dataset.root={text}"], TRAIN) == {"dataset.root": text}
    assert parse([f"dataset.root={quoted(text)}"], TRAIN) == {"dataset.root": text}


def test_quotes_lists_and_null() -> None:
    assert parse(["dataset.root='null'"], TRAIN) == {"dataset.root": "null"}
    assert parse(["dataset.root=null"], TRAIN) == {"dataset.root": None}
    assert parse(['dataset.group_regex="id(\\d+)"'], TRAIN) == {"dataset.group_regex": "id(\\d+)"}
    assert parse(["images=[a.jpg,b.jpg]"], PREDICT) == {"images": ["a.jpg", "b.jpg"]}
    assert parse(["images=['a [1].jpg',5]"], PREDICT) == {"images": ["a [1].jpg", "5"]}


def test_a_folder_in_brackets_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[a,b]").mkdir()
    assert parse(["images=[a,b]"], PREDICT) == {"images": "[a,b]"}


def test_the_later_of_two_counts() -> None:
    assert parse(["epochs=3", "epochs=4"], TRAIN) == {"epochs": 4}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimiser.lr=1", "no option optimiser.lr; did you mean optimizer.lr?"),
        ("lr=1", "no option lr; did you mean optimizer.lr?"),
        ("+epoch=1", "no option epoch; did you mean epochs?"),
        ("++dataset.rot=x", "no option dataset.rot; did you mean dataset.root?"),
        ("dataset.rot=my photos/[1", "no option dataset.rot; did you mean dataset.root?"),
        ("root=x", "no option root; did you mean dataset.root?"),
        ("epochs", "options are given as name=value, got 'epochs'"),
        ("=3", "options are given as name=value, got '=3'"),
        ("~optimizer.lr=0.004", "options cannot be taken out"),
        ("seed=[1", "seed=\\[1 cannot be read; if it is text, type \"seed='\\[1'\""),
        ("epochs=1,2", "epochs=1,2 asks for several runs; add --multirun"),
        ("epochs=range(1,3)", "asks for several runs"),
    ],
)
def test_raises(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", "\\?")) as caught:
        parse([word], TRAIN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["backbone=resnet50", "experiment=paper", "dataset.root=x"])
def test_raises_on_options_of_other_commands(word: str) -> None:
    with pytest.raises(ConfigError, match="there is no option"):
        parse([word], PREDICT)


@pytest.mark.parametrize("text", AWKWARD)
def test_quoted_text_is_one_value_to_hydra(text: str) -> None:
    override = read_override("x", quoted(text))
    assert not override.is_sweep_override()
    assert str(override.value()) == text
