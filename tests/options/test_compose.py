"""What Hydra composes of ``conf/`` and of what is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase

from agnet_vision.errors import ConfigError
from agnet_vision.options.compose import (
    DECIDED,
    compose,
    conf_folder,
    files_of,
    flatten,
    groups_of,
    lay,
    read_yaml,
    tree,
)
from agnet_vision.options.resolve import training_options
from agnet_vision.options.run import TrainConfig


def composed(**given: Any) -> TrainConfig:
    return training_options(given)


def test_every_file_of_a_group_can_be_chosen() -> None:
    for group in groups_of("train"):
        for name in files_of(group):
            given = {"dataset": "stanford40", group: name}
            if name in ("hf", "timm"):
                given |= {"dataset.path": "x"} if name == "hf" else {"backbone.name": "resnet18"}
            config = composed(**given)
            if group in ("dataset", "model", "regions"):
                assert getattr(getattr(config, group), DECIDED[group][0]) == name, group


def test_demo_has_its_recipe_and_others_do_not() -> None:
    demo, other = composed(), composed(dataset="stanford40")
    assert not demo.backbone.pretrained
    assert demo.image_size < other.image_size == 224
    assert other.backbone.name == "mobilenetv2_100"
    for name in ("resnet50", "mobilenetv2_100"):
        own = composed(dataset="stanford40", backbone=name).backbone
        assert composed(backbone=name).backbone == own
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
    assert composed(experiment="paper").image_size == 224, "before the recipe of the demo"


def test_value_what_a_test_image_shows_by_default() -> None:
    plain, larger = (
        composed(dataset="stanford40", **given).augmentation
        for given in ({}, {"experiment": "recommended"})
    )
    assert (plain.view, plain.crop_fraction, plain.test_scale) == ("crop", 1.0, 1.0)
    assert larger == plain.model_copy(update={"test_scale": 1.2})


def test_names_may_be_nested_and_in_any_order() -> None:
    for given in (
        {"dataset": "folder", "dataset.root": "/x"},
        {"dataset.root": "/x", "dataset": "folder"},
        {"dataset": {"root": "/x", "name": "folder"}},
    ):
        dataset = composed(**given).dataset
        assert (dataset.name, dataset.root) == ("folder", "/x")
    for given in ({"backbone": "timm", "backbone.name": "resnet18"}, {"backbone.name": "resnet18"}):
        assert composed(**given).backbone == composed(backbone="resnet18").backbone
    config = composed(trainer="cpu", **{"trainer.devices": 2}, logger=["csv", "wandb"])
    assert (config.trainer.accelerator, config.trainer.devices) == ("cpu", 2)
    assert config.logger.tensorboard is None
    assert config.logger.wandb is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trainer": "gpus"}, "trainer must be one of auto, cpu, ddp, gpu, got 'gpus'; did you"),
        ({"experiment": "papr"}, "experiment must be one of paper, .*; did you mean paper"),
        ({"run_dir": "outputs/${sed}"}, "run_dir: there is no option sed; did you mean seed"),
        ({"epochs": object()}, "epochs: Value 'object' is not"),
        ({"dataset": "my set"}, "dataset must be one of .*, got 'my set'; --config-dir"),
    ],
)
def test_raises(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compose("train", given)
    assert "\n" not in str(caught.value)


def test_hydra_is_left_as_it_was_found(tmp_path: Path) -> None:
    """In a notebook that uses Hydra itself, and inside of an application of Hydra's."""
    tree.cache_clear()
    (tmp_path / "theirs.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        running, version = GlobalHydra.instance().hydra, VersionBase.instance().getbase()
        compose("train", {})
        assert GlobalHydra.instance().hydra is running
        assert VersionBase.instance().getbase() == version
        assert hydra.compose("theirs").a == 1

    tree.cache_clear()
    compose("train", {})
    assert not GlobalHydra.instance().is_initialized()


def test_laying_options_over_others() -> None:
    below = flatten({"backbone": {"name": "resnet18", "freeze_at": 1}, "optimizer": {"lr": 1}})
    assert below == {"backbone": "resnet18", "backbone.freeze_at": 1, "optimizer.lr": 1}
    assert lay(below, {"backbone": "resnet34"}) == {"backbone": "resnet34", "optimizer.lr": 1}
    assert lay(below, {"optimizer.lr": 2}) == {**below, "optimizer.lr": 2}
    ranges = {"optimizer": {"lr": {"low": 1, "high": 2}}}
    assert flatten(ranges) == {"optimizer.lr": {"low": 1, "high": 2}}


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1, 2\nb", "damaged"), ("- 1", "names none"), ("", "names none")]
)
def test_raises_on_files_without_options(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"x\.yaml must be options in YAML, and .*{message}"):
        read_yaml(tmp_path / "x.yaml")


def test_every_command_has_its_file() -> None:
    from agnet_vision.cli.command import COMMANDS, GROUPS

    for name in COMMANDS:
        if name != "benchmark":
            assert (conf_folder() / f"{name}.yaml").is_file()
            assert set(groups_of(name)) <= set(GROUPS)
