"""Recipes, experiments and what is given, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import compose, conf_folder, nest, read_yaml
from agnet_vision.options.run import TRAINERS, TrainConfig
from agnet_vision.options.validation import validate


def composed(**given: Any) -> TrainConfig:
    return validate(TrainConfig, compose(given))


def test_every_shipped_file_is_of_options() -> None:
    plain = composed(dataset="stanford40")
    experiments = [path.stem for path in conf_folder().glob("experiment/*.yaml")]
    assert sorted(experiments) == ["paper", "recommended"]
    for name in experiments:
        assert composed(experiment=name, dataset="stanford40") != plain
    recipes = [path.stem for path in conf_folder().glob("recipe/*.yaml")]
    assert recipes == ["demo"]
    assert composed(dataset="demo").dataset.name == "demo"
    for name, options in TRAINERS.items():
        assert composed(trainer=name).trainer.model_dump().items() >= options.items()


def test_demo_has_its_recipe_and_others_do_not() -> None:
    demo, other = composed(), composed(dataset="stanford40")
    assert not demo.backbone.pretrained
    assert demo.image_size < other.image_size == 224
    assert other.backbone.name == "mobilenetv2_100"
    assert (
        composed(backbone="resnet50").backbone
        == composed(dataset="stanford40", backbone="resnet50").backbone
    )
    assert composed(regions="grid").regions.num_clusters == demo.regions.num_clusters


def test_paper() -> None:
    config = composed(dataset="stanford40", experiment="paper")
    assert (config.epochs, config.batch_size, config.image_size) == (200, 8, 224)
    assert config.backbone.name == "resnet50"
    optimizer, schedule = config.optimizer, config.schedule
    assert (optimizer.name, optimizer.lr, optimizer.momentum) == ("sgd", 1e-4, 0.99)
    assert (schedule.name, schedule.step_epochs, schedule.step_factor) == ("step", 50, 0.1)
    assert (config.augmentation.preset, config.augmentation.crop_fraction) == ("paper", 224 / 256)
    given = composed(dataset="stanford40", experiment="paper", epochs=3, backbone="resnet18")
    assert (given.epochs, given.backbone.name) == (3, "resnet18")


def test_an_experiment_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dataset: folder\nbackbone: resnet18\noptimizer: {lr: 1e-4}\n")
    config = composed(experiment=str(path), **{"optimizer.backbone_lr": 1})
    assert (config.dataset.name, config.backbone.name) == ("folder", "resnet18")
    assert (config.optimizer.lr, config.optimizer.backbone_lr) == (1e-4, 1)
    assert config.image_size == 224, "not the demo's recipe"
    path.write_text("optimizer: {learning_rate: 1}\n")
    with pytest.raises(
        ConfigError, match=r"mine\.yaml: there is no option optimizer\.learning_rate; did"
    ):
        composed(experiment=str(path))
    with pytest.raises(ConfigError, match=r"experiment: there is no file .*none\.yaml"):
        composed(experiment=str(tmp_path / "none.yaml"))
    with pytest.raises(
        ConfigError,
        match=r"one of none, paper, recommended, or a YAML file, got 'papr'; did you mean paper",
    ):
        composed(experiment="papr")


@pytest.mark.parametrize("choice", ["dataset", "dataset.name"])
def test_order_of_names_means_nothing(choice: str) -> None:
    expected = {"dataset": {"name": "folder", "root": "photos"}}
    assert nest({choice: "folder", "dataset.root": "photos"}) == expected
    assert nest({"dataset.root": "photos", choice: "folder"}) == expected


def test_names_nest_and_choices_are_short() -> None:
    given = {
        "dataset": "folder",
        "dataset.root": "x",
        "optimizer": {"lr": 1},
        "optimizer.momentum": 0,
        "model.head.dropout": 0.1,
        "model": "no_attention",
        "trainer": "cpu",
        "trainer.devices": 2,
        "logger": ["csv", "wandb"],
    }
    assert nest(given) == {
        "dataset": {"name": "folder", "root": "x"},
        "optimizer": {"lr": 1, "momentum": 0},
        "model": {"head": {"dropout": 0.1}, "variant": "no_attention"},
        "trainer": {"accelerator": "cpu", "devices": 2, "strategy": "auto"},
        "logger": {"name": ["csv", "wandb"]},
    }
    assert nest({"backbone": "timm", "backbone.name": "x"}) == {"backbone": {"name": "x"}}
    with pytest.raises(
        ConfigError,
        match="trainer must be one of auto, cpu, gpu, ddp, got 'gpus'; did you mean gpu",
    ):
        nest({"trainer": "gpus"})


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1, 2\nb", "damaged"), ("- 1", "names none"), ("", "names none")]
)
def test_raises_on_files_without_options(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"x\.yaml must be options in YAML, and .*{message}"):
        read_yaml(tmp_path / "x.yaml")
