"""What a run has stored, and what is given besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agnet_vision.errors import ConfigError
from agnet_vision.options.resolve import (
    evaluation_options,
    read_stored,
    stored_text,
    training_options,
)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Make what a run of a folder has stored."""
    config = training_options(
        {"dataset": "folder", "dataset.root": "/data", "seed": 3, "dataset.test_fraction": 0.5}
    )
    (tmp_path / "config.yaml").write_text(stored_text(config))
    return tmp_path


def resumed(run_dir: Path, given: dict[str, Any]) -> Any:
    return training_options({"resume": True, "run_dir": run_dir} | given)


def test_a_run_goes_on_with_its_own_options_but_for_those_given(run_dir: Path) -> None:
    config = resumed(run_dir, {"epochs": 7, "dataset.root": "/moved"})
    assert (config.seed, config.epochs, config.resume, config.run_dir) == (3, 7, True, str(run_dir))
    assert (config.dataset.root, config.dataset.val_fraction) == ("/moved", 0.1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"logger": "none"}, []),
        ({"logger": ["csv", "wandb"], "logger.wandb.project": "x"}, ["csv", "wandb"]),
        ({"trainer": "ddp"}, ["tensorboard"]),
    ],
)
def test_a_choice_changes_what_it_decides(
    run_dir: Path, given: dict[str, Any], expected: list[str]
) -> None:
    config = resumed(run_dir, {"trainer.precision": "bf16-mixed", **given})
    assert [name for name, options in config.logger if options is not None] == expected
    assert config.trainer.precision == "bf16-mixed"
    assert (config.trainer.strategy == "ddp") == ("trainer" in given)


def test_auto_goes_on_only_where_there_is_a_run(run_dir: Path) -> None:
    given = {"resume": "auto", "run_dir": run_dir, "dataset": "folder", "experiment": "paper"}
    assert training_options(given).resume is False
    assert training_options(given).epochs == 200
    (run_dir / "last.ckpt").touch()
    config = training_options({**given, "epochs": 7})
    assert (config.resume, config.seed, config.epochs, config.batch_size) == (True, 3, 7, 32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset.val_fraction": 0.2}, "its own dataset.val_fraction=0.1, got 0.2"),
        ({"dataset": "food101"}, "its own dataset.name=folder, got food101"),
        ({"experiment": "paper"}, "with resume leave experiment out"),
        ({"run_dir": "nowhere"}, r"there is no .*nowhere/config\.yaml; run_dir must name"),
    ],
)
def test_raises_on_resume(run_dir: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resumed(run_dir, given)


def test_options_added_since_a_run_have_their_defaults(run_dir: Path) -> None:
    whole = read_stored(run_dir)
    older = read_stored(run_dir)
    del older["guide"], older["model"]["head"]["pooling"], older["loss"]["name"]
    (run_dir / "config.yaml").write_text(yaml.safe_dump(older))
    assert read_stored(run_dir) == whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [1, 2\nseed", "and is damaged; put a good copy in its place"),
        ("", "names none; put a good copy"),
        (
            "dataset: {name: demo, root: null}",
            "is damaged or of another version: run_dir must be given",
        ),
    ],
)
def test_raises_on_damaged_options(run_dir: Path, text: str, message: str) -> None:
    (run_dir / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"config\.yaml .*{message}") as caught:
        resumed(run_dir, {})
    assert "\n" not in str(caught.value)


def test_run_dir_takes_other_options_in() -> None:
    config = training_options({"run_dir": "outputs/${dataset.name}/${seed}", "seed": 4})
    assert config.run_dir == str(Path("outputs/demo/4").absolute())


def test_evaluation_takes_the_run_s_own_dataset(run_dir: Path) -> None:
    for given in ({}, {"dataset": "folder"}, {"dataset": "folder", "dataset.root": "/data"}):
        config = evaluation_options({"checkpoint": run_dir, **given})
        assert config.dataset.model_dump(include={"name", "root", "test_fraction"}) == {
            "name": "folder", "root": "/data", "test_fraction": 0.5,
        }  # fmt: skip
        assert config.seed == 3
    moved = evaluation_options({"checkpoint": run_dir / "best.ckpt", "dataset.root": "/moved"})
    assert (moved.dataset.root, moved.dataset.test_fraction) == ("/moved", 0.5)
    listed = evaluation_options(
        {"checkpoint": run_dir, "dataset.csv": "/new.csv", "dataset.test_fraction": 0.2}
    )
    assert (listed.dataset.root, listed.dataset.csv) == ("/data", "/new.csv")
    other = evaluation_options({"checkpoint": run_dir, "dataset": "food101"})
    assert (other.dataset.name, other.seed) == ("food101", 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": 0}, "seed=0 may draw another split than the run did, .*; give seed=3"),
        ({"dataset.test_fraction": 0.2}, "give dataset.test_fraction=0.5"),
        ({"dataset.group_regex": "p"}, "give dataset.group_regex=null"),
    ],
)
def test_evaluation_raises_on_another_split(
    run_dir: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluation_options({"checkpoint": run_dir, **given})


def test_evaluation_raises_without_a_dataset(run_dir: Path) -> None:
    (run_dir / "config.yaml").write_text(yaml.safe_dump({"seed": 0}))
    with pytest.raises(
        ConfigError, match=r"config\.yaml must hold the options of a run, and names no dataset"
    ):
        evaluation_options({"checkpoint": run_dir})
    (run_dir / "config.yaml").unlink()
    for given in ({}, {"dataset.root": "x"}):
        with pytest.raises(ConfigError, match=r"there is no run at checkpoint=.*; give dataset"):
            evaluation_options({"checkpoint": run_dir, **given})
