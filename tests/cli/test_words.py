"""Words of a command line, as Hydra is given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agnet_vision.cli.words import for_hydra
from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import compose
from tests.cli.saved import given

AWKWARD = (
    "my photos/a [1], b=2.jpg",
    "Übung/él à/日本.jpg",
    "it's",
    'say "cheese"',
    "a,b",
    "{x: 1}",
    "50%/#1 (copy).png",
    "back\\slash\\",
    "[ab].jpg",
    "5",
    "1e-3",
    "a=b=c",
    "x: y",
    " ",
)


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("optimizer.lr=1e-3", "optimizer.lr", 1e-3),
        ("gradient_clip=null", "gradient_clip", None),
        ("resume=true", "resume", True),
        ("backbone.taps=[-2,-1]", "backbone.taps", [-2, -1]),
        ("dataset=folder", "dataset", "folder"),
        ("dataset.name=folder", "dataset", "folder"),
        ("+experiment=paper", "experiment", "paper"),
        ("logger=[csv,wandb]", "logger", ["csv", "wandb"]),
        ("+backbone.kwargs.drop_path_rate=0.1", "backbone.kwargs.drop_path_rate", 0.1),
        ("++model.head.pool_size=2", "model.head.pool_size", 2),
        ("trainer.devices=auto", "trainer.devices", "auto"),
        ("hydra.run.dir=a b", "run_dir", "a b"),
    ],
)
def test_value(word: str, name: str, value: Any) -> None:
    assert given("train", word) == {name: value}
    assert type(given("train", word)[name]) is type(value)


@pytest.mark.parametrize("text", AWKWARD)
def test_text_is_taken_as_it_was_typed(text: str) -> None:
    composed = compose("train", given("train", "dataset=folder", f"dataset.root={text}"))
    assert composed.values["dataset"]["root"] == text
    assert given("study", f"base.dataset.root={text}") == {"base.dataset.root": text}


def test_quotes_lists_and_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given("train", "dataset.root='null'") == {"dataset.root": "null"}
    assert given("train", "dataset.root=null") == {"dataset.root": None}
    assert given("train", 'dataset.group_regex="id(\\d+)"') == {"dataset.group_regex": "id(\\d+)"}
    images = "predict", "images=[a.jpg,b.jpg]"
    assert given(*images) == {"images": ["a.jpg", "b.jpg"]}
    monkeypatch.chdir(tmp_path)
    Path("[a.jpg,b.jpg]").mkdir()
    assert given(*images) == {"images": "[a.jpg,b.jpg]"}


def test_any_name_of_timm_is_a_backbone(tmp_path: Path) -> None:
    assert for_hydra(["backbone=resnet50"], "train") == ["backbone=resnet50"]
    assert for_hydra(["backbone=vgg16"], "train") == ["backbone=timm", "++backbone.name='vgg16'"]
    assert for_hydra(["backbone.name=vgg16"], "train")[-1] == "backbone=timm"
    sweep = for_hydra(["-m", "backbone=resnet50,vgg16"], "train")
    assert sweep == ["backbone=timm", "++backbone.name='resnet50','vgg16'", "-m"]
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").touch()
    own = for_hydra(["backbone=mine", f"--config-dir={tmp_path}"], "train")
    assert own[0] == "backbone=mine"


def test_flags_stand_behind_options() -> None:
    words = ["--info", "defaults-tree", "epochs=3", "--config-dir", "a=b", "-m", "seed=1"]
    flags = ["--info=defaults-tree", "--config-dir=a=b", "-m"]
    assert for_hydra(words, "train") == ["++epochs=3", "++seed=1", *flags]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("runs/full", "got 'runs/full', as in agnet predict checkpoint=.* images=photo.jpg$"),
        ("source=photo.jpg", "no option source; did you mean images\\?"),
        ("model=runs/full", "no option model; did you mean checkpoint\\?"),
        ("weights=runs/full", "no option weights; did you mean checkpoint\\?"),
    ],
)
def test_words_of_other_programs(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        for_hydra([word], "predict")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("source=grid", "no option source; did you mean regions.source?"),
        ("+optimizer.foo=1", "no option optimizer.foo; did you mean optimizer.lr?"),
        ("optimiser.lr=1", "no option optimiser.lr; did you mean optimizer.lr?"),
        ("++dataset.rot=my photos/[1", "no option dataset.rot; did you mean dataset.root?"),
        ("epochs", "options are given as name=value, got 'epochs'"),
        ("~logger", "options cannot be taken out, got ~logger; logger=none logs nothing"),
    ],
)
def test_raises(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", "\\?")) as caught:
        for_hydra([word], "train")
    assert "\n" not in str(caught.value)


def test_error_an_option_of_train_typed_to_another_command() -> None:
    with pytest.raises(ConfigError, match="no option cache_dir here; it is one of agnet train"):
        for_hydra(["dataset=demo", "cache_dir=x"], "prepare")
