"""Wrong values end in one line that says rule and value, before anything is read or made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.training.options import check_evaluation, check_network_options, check_options
from agnet_vision.training.pretrained import load_backbone
from agnet_vision.training.train import train

Configure = Callable[..., DictConfig]
EVALUATION = ("dataset=folder", "trainer=cpu", "workers=0", "checkpoint=x")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("batch_size=1", "batch_size must be a whole number of at least 2, got 1"),
        ("seed=-1", r"seed must be a whole number in \[0, 4294967295\], got -1"),
        ("optimizer.lr=null", "optimizer.lr must be a number of at least 0, got null"),
        ("optimizer.lr=nan", "optimizer.lr must be a number of at least 0, got nan"),
        (
            "optimizer.weight_decay=null",
            "optimizer.weight_decay must be a number of at least 0, got null",
        ),
        ("optimizer.momentum=-1", r"optimizer.momentum must be a number in \[0, 1\), got -1"),
        ("loss.label_smoothing=null", r"label_smoothing must be a number in \[0, 1\), got null"),
        (
            "augmentation.crop_fraction=null",
            r"crop_fraction must be a number in \(0, 1\], got null",
        ),
        ("gradient_clip=-1", "gradient_clip must be a number of at least 0, or null, got -1"),
        ("workers=abc", "workers must be a whole number of at least 0, or null, got 'abc'"),
        (
            "early_stopping_patience=two",
            "early_stopping_patience must be a whole number .*, or null, got 'two'",
        ),
        (
            "early_stopping_patience=-1",
            "early_stopping_patience must be .* at least 0, or null, got -1",
        ),
        (
            "freeze_backbone_epochs=-1",
            "freeze_backbone_epochs must be a whole number of at least 0, got -1",
        ),
        ("ema_decay=abc", r"ema_decay must be a number in \(0, 1\), or null, got 'abc'"),
        ("ema_decay=1.0", r"ema_decay must be a number in \(0, 1\), or null, got 1.0"),
        ("schedule.step_factor=-1", r"schedule.step_factor must be a number in \[0, 1\], got -1"),
        (
            "schedule.final_fraction=-5",
            r"schedule.final_fraction must be a number in \[0, 1\], got -5",
        ),
        ("run_dir=null", "run_dir must be text, got null"),
        (
            "dataset.root=5",
            "dataset.root must be text or null, got 5; in quotes a number is text: dataset.root='\"5\"'",
        ),
        ("backbone.name=5", "backbone.name must be text or null, got 5"),
        ("backbone.checkpoint=5", "backbone.checkpoint must be text or null, got 5"),
        (
            "backbone.kwargs=5",
            "backbone.kwargs must be options of timm.create_model such as .*, got 5",
        ),
        ("model.head=5", "model.head must be options of AGNetHead such as .*, got 5"),
        (
            "backbone.taps=-2",
            r"backbone.taps must be null or a list such as \[-2\] or \[-2,-1\], got -2",
        ),
        ("backbone.taps=abc", r"a list such as \[-2\] or \[-2,-1\], got 'abc'"),
        ("backbone.taps=[]", r"a list such as \[-2\]"),
        ("+backbone.kwargs.in_chans=1", "must not have in_chans: the photographs are RGB"),
        (
            "+backbone.kwargs.features_only=true",
            "must not have features_only: the features are taken by this library",
        ),
        (
            "+backbone.kwargs.output_stride=8",
            "must not have output_stride: it is backbone.output_stride",
        ),
    ],
)
def test_raises(configure: Configure, option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_options(configure(option))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "gradient_clip=null",
        "workers=null",
        "early_stopping_patience=0",
        "ema_decay=0.5",
        "schedule.warmup_epochs=0.5",
        "augmentation.rotation_degrees=7.5",
        "batch_size=2",
        "backbone.taps=[-2,-1]",
        "experiment=paper",
    ],
)
def test_allowed(configure: Configure, option: str) -> None:
    check_options(configure(option))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seed=-1", "seed must be a whole number in .*, got -1"),
        ("batch_size=0", "batch_size must be a whole number of at least 1, got 0"),
        ("workers=-1", "workers must be a whole number of at least 0, or null, got -1"),
        (
            "trainer.precision=bf16-true",
            "trainer.precision must be one of 32-true, bf16-mixed, 16-mixed, got 'bf16-true'",
        ),
        ("split=tset", "split must be one of train, val, test, got 'tset'"),
        ("checkpoint=5", "checkpoint must be text, got 5"),
        ("checkpoint=null", "checkpoint must be text, got null"),
    ],
)
def test_raises_of_evaluation(configure: Configure, option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_evaluation(configure(option, name="evaluate", base=EVALUATION))


def test_evaluation_takes_single_images_and_the_run_s_seed(configure: Configure) -> None:
    check_evaluation(configure("batch_size=1", "seed=null", name="evaluate", base=EVALUATION))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "vit_tiny_patch16_224",
            {"output_stride": 16},
            r"no such option\); give backbone.output_stride=null",
        ),
        ("vgg11", {"output_stride": 16}, "vgg11 does not take output_stride=16"),
        (
            "test_resnet",
            {"output_stride": 16, "nonsense": 1},
            r"take nonsense=1 .*; leave \+backbone.kwargs.nonsense= out",
        ),
        ("test_resnet", {"drop_path_rate": "abc"}, "does not take drop_path_rate='abc'"),
        ("test_resnet", {"norm_layer": "none"}, "does not take norm_layer='none'"),
    ],
)
def test_raises_on_options_the_backbone_has_not(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_network_options(name, options)
    assert "\n" not in str(caught.value)


def test_backbone_takes_its_own_options() -> None:
    check_network_options("test_resnet", {"output_stride": 16, "drop_path_rate": 0.1})


def test_the_last_batch_has_never_one_image(configure: Configure, tmp_path: Path) -> None:
    train(configure("epochs=1", "test=false", "batch_size=4"))  # 21 images: one is left over
    assert (tmp_path / "run" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    "content", [b"no weights", b"", b"\x80\x02}q\x00cfoo\nbar\n", {"a": 5, 3: 4}, [1]]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_raises_on_a_file_without_weights(
    tmp_path: Path, content: bytes | dict | list, suffix: str
) -> None:
    file = tmp_path / f"weights{suffix}"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(
        CheckpointError,
        match=r"must hold weights and nothing else, .*weights\..* holds something else",
    ):
        load_backbone(nn.Linear(2, 2), str(file))


def test_raises_on_entries_that_are_no_tensors(tmp_path: Path) -> None:
    torch.save({"weight": 5, "bias": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(
        CheckpointError,
        match="1 of 2 tensors are missing or have another shape, the first is weight",
    ):
        load_backbone(nn.Linear(2, 2), str(tmp_path / "weights.pth"))
