"""Every configuration composes, and the command line is checked against it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from agnet_vision.errors import ConfigError

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
from options import check_options  # noqa: E402  # tools/ is no package

CONF = ROOT / "conf"
CHOICES = sorted(
    f"{folder}={path.stem}"
    for folder in ("dataset", "backbone", "model", "regions", "trainer", "experiment")
    for path in (CONF / folder).glob("*.yaml")
)


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("train", list(overrides))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes(choice: str) -> None:
    required = {"dataset=folder": ("dataset.root=x",), "backbone=timm": ("backbone.name=x",)}.get(
        choice, ()
    )
    config = composed(choice, *required)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    check_options("train", [choice, *required])


def test_defaults_stand_in_one_file() -> None:
    stated = set(OmegaConf.load(CONF / "train.yaml")) - {"defaults", "hydra"}
    grouped = {"model", "regions", "trainer", "dataset"}
    assert set(composed("dataset=stanford40")) == stated | grouped


def test_demo_has_its_recipe_and_others_do_not() -> None:
    demo, other = composed(), composed("dataset=stanford40")
    assert not demo.backbone.pretrained
    assert demo.image_size < other.image_size == 224
    assert other.backbone.name == "mobilenetv2_100"
    assert (
        composed("backbone=resnet50").backbone
        == composed("dataset=stanford40", "backbone=resnet50").backbone
    )


def test_paper() -> None:
    config = composed("dataset=stanford40", "experiment=paper")
    assert (config.epochs, config.batch_size, config.image_size) == (200, 8, 224)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.momentum) == (
        "sgd",
        1e-4,
        0.99,
    )
    assert (config.schedule.name, config.schedule.step_epochs, config.schedule.step_factor) == (
        "step",
        50,
        0.1,
    )
    assert (config.augmentation.preset, config.augmentation.crop_fraction) == ("paper", 224 / 256)
    assert composed("experiment=paper", "dataset=stanford40", "epochs=3").epochs == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["optimiser.lr=1"], "no option optimiser.lr; did you mean optimizer.lr?"),
        (["lr=1"], "no option lr; did you mean optimizer.lr?"),
        (["+epochs=1"], "epochs has a value already; change it without a plus sign: epochs=1"),
        (["+epoch=1"], "no option epoch; did you mean epochs?"),
        (["++dataset.rot=x"], "no option dataset.rot; did you mean dataset.root?"),
        (["backbone=resnet51"], "backbone=resnet51 is not known; did you mean resnet50?"),
        (["dataset=stanford4"], "did you mean stanford40?"),
        (["epochs=many"], "epochs must be a whole number such as .*, got 'many'"),
        (["resume=1"], "resume must be true or false"),
        (["optimizer.lr=fast"], "optimizer.lr must be a number"),
        (["backbone.kwargs.drop_rate=0.1"], r"needs a plus sign: \+backbone.kwargs.drop_rate=0.1"),
        (
            ["dataset=demo", "+model.head.pool_size=2"],
            r"without a plus sign: model.head.pool_size=2",
        ),
        (["epochs"], "options are given as name=value, got 'epochs'"),
        (["seed=[1"], "quote values"),
        (["+experiment=paper"], "Multiple values for experiment"),
        (["optimizer.lr=null"], "optimizer.lr must be a number such as .*, got null"),
        (
            ["loss.label_smoothing=null"],
            "loss.label_smoothing must be a number such as .*, got null",
        ),
        (
            ["dataset=folder", "dataset.val_fraction=null"],
            "dataset.val_fraction must be a number such as 0.1, got null",
        ),
        (["run_dir=null"], "run_dir must be text such as outputs/.*, got null"),
        (["monitor=5"], "monitor must be text such as acc, got 5"),
        (["optimizer=5"], "optimizer is a group of options; give one of them"),
        (["optimizer={lr: fast}"], "optimizer.lr must be a number such as .*, got 'fast'"),
        (["~optimizer.lr=0.004"], "optimizer.lr is needed and cannot be taken out"),
        (["epochs=1,2"], "epochs=1,2 asks for several runs; add --multirun"),
    ],
)
def test_mistakes(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_options("train", options)
    assert "\n" not in str(caught.value)


def test_free_options_pass() -> None:
    check_options(
        "train",
        ["+backbone.kwargs.drop_path_rate=0.1", "+model.head.dropout=0.2", "backbone.taps=[-2]"],
    )
    check_options("train", ["dataset=demo", "model.head.pool_size=2"])  # the recipe has set it
    check_options("train", ["dataset=demo", "++model.head.pool_size=2"])


def test_null_and_fractions_where_they_mean_something() -> None:
    check_options(
        "train",
        ["gradient_clip=null", "schedule.warmup_epochs=0.5", "augmentation.rotation_degrees=7.5"],
    )
    check_options(
        "train",
        ["experiment=paper", "schedule.warmup_epochs=3", "trainer=ddp", "trainer.devices=2"],
    )


def test_resume_knows_the_run_s_own_options(tmp_path: Path) -> None:
    OmegaConf.save(composed("dataset=folder"), tmp_path / "config.yaml")
    given = ["resume=true", f"run_dir={tmp_path}"]
    assert check_options("train", [*given, "dataset.val_fraction=0.2"])[-1] == "dataset=folder"
    with pytest.raises(ConfigError, match=r"no option dataset\.split_seed"):
        check_options("train", [*given, "dataset.split_seed=1"])
    with pytest.raises(ConfigError, match=r"dataset\.val_fraction must be a number"):
        check_options("train", [*given, "dataset.val_fraction=abc"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [1, 2\nseed", "in YAML, and is damaged; put a good copy in its place"),
        ("- 1", "options of a run, and names no dataset"),
        ("", "options of a run, and names no dataset"),
        (
            "dataset: {name: demo, root: null}",
            "hold all options of a run, and lacks run_dir: it is damaged",
        ),
    ],
)
def test_resume_raises_on_damaged_options(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"config\.yaml must .*{message}") as caught:
        check_options("train", ["resume=true", f"run_dir={tmp_path}"])
    assert "\n" not in str(caught.value)


def test_evaluate() -> None:
    check_options("evaluate", ["checkpoint=x", "dataset=stanford40"])
    with pytest.raises(ConfigError, match=r"checkpoint= is missing; run folder"):
        check_options("evaluate", [])
