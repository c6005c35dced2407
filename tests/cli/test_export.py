"""A run's checkpoint in other forms answers as it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet_vision import AGNet, load_model
from agnet_vision.cli import export as export_command
from agnet_vision.errors import ConfigError
from agnet_vision.export.onnx import BoxesIn
from agnet_vision.training.train import train
from benchmarks.child import write_images
from tests.cli.saved import options
from tests.conftest import random_regions
from tests.training.tiny import TINY, training


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last.ckpt of a run of one epoch."""
    folder = tmp_path_factory.mktemp("export")
    images = write_images(folder / "images", {"train": 4, "val": 2, "test": 2})
    places = (f"dataset.root={images}", f"run_dir={folder / 'run'}")
    train(training(*TINY, *places, "epochs=1", "schedule.warmup_epochs=0"))
    return folder / "run" / "last.ckpt"


@pytest.fixture
def export() -> Callable[..., Path]:
    """What ``agnet export`` does with its options."""

    def run(checkpoint: Path, form: str) -> Path:
        config = options("export", checkpoint=checkpoint, format=form)
        return export_command.export(config)

    return run


@pytest.fixture
def expected(
    checkpoint: Path, export: Callable[..., Path]
) -> tuple[AGNet, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The network from its folder, an input, and its logits."""
    model = load_model(export(checkpoint, "pretrained"))
    images, boxes = torch.randn(2, 3, 48, 48), random_regions(2, 2, masked=1).boxes
    with torch.no_grad():
        return model, images, boxes, BoxesIn(model)(images, boxes)


def test_value_pretrained(
    checkpoint: Path, expected: tuple[AGNet, torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    """The folder has every weight, classes and input size."""
    model, state = expected[0], torch.load(checkpoint, weights_only=True)["state_dict"]
    assert model.classes == ("cat", "dog", "owl")
    assert model.data_config["input_size"] == (3, 48, 48)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[f"model.{name}"]), name


def test_value_program(
    checkpoint: Path,
    export: Callable[..., Path],
    expected: tuple[AGNet, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    _, images, boxes, logits = expected
    path = export(checkpoint, "program")
    assert path == checkpoint.with_suffix(".pt2")
    torch.testing.assert_close(
        torch.export.load(path).module()(images, boxes), logits, atol=1e-5, rtol=1e-5
    )


def test_value_onnx(
    checkpoint: Path,
    export: Callable[..., Path],
    expected: tuple[AGNet, torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """From the folder, not the checkpoint."""
    onnxruntime = pytest.importorskip("onnxruntime")
    _, images, boxes, logits = expected
    path = export(checkpoint.with_name("last_pretrained"), "onnx")
    (answer,) = onnxruntime.InferenceSession(path).run(
        None, {"images": images.numpy(), "boxes": boxes.numpy()}
    )
    torch.testing.assert_close(torch.from_numpy(answer), logits, atol=1e-4, rtol=1e-4)


def test_calibration_images_are_of_the_whole_list(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files come sorted by class.

    The first half of five hundred would be of half the classes.
    """
    names = [Path(f"{number:03}.png") for number in range(500)]
    read: list[Path] = []

    def read_image(path: Path) -> np.ndarray:
        read.append(path)
        return np.zeros((50, 60, 3), np.uint8)

    monkeypatch.setattr("agnet_vision.predict.files.find_images", lambda _: names)
    monkeypatch.setattr("agnet_vision.data.image.read_image", read_image)
    given = {"checkpoint": checkpoint, "format": "int8", "images": "any", "calibration": 256}
    config = options("export", **given)
    export_command.calibration_inputs(load_model(checkpoint), config)
    assert len(set(read)) == 256
    assert (read[0], read[-1]) == (names[0], names[-1])
    del names[1:]
    with pytest.raises(ConfigError, match="images must be two or more"):
        export_command.export(config)


def test_value_scores_say_what_views_they_are_of(tmp_path: Path) -> None:
    scores = {"split": "test", "acc": 0.5, "mean_per_class_acc": 0.4, "mAP": 0.6, "tta": "whole"}
    (tmp_path / "metrics.json").write_text(json.dumps(scores))
    assert export_command.measured(str(tmp_path))["test mAP (tta=whole)"] == 0.6
    (tmp_path / "metrics.json").write_text(json.dumps({**scores, "tta": "none"}))
    assert export_command.measured(str(tmp_path))["test mAP"] == 0.6
