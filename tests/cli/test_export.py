"""A run's checkpoint becomes a folder, a program and an ONNX file that answer as it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agnet_vision import AGNet, load_model
from agnet_vision.cli import export as export_command
from agnet_vision.models.export import BoxesIn
from agnet_vision.training.train import train
from agnet_vision.training.validation import validate
from tests.conftest import random_regions
from tests.training.conftest import TINY, training, write_pictures


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last.ckpt that Lightning wrote in a run of one epoch."""
    folder = tmp_path_factory.mktemp("export")
    pictures = write_pictures(folder / "pictures", {"train": 4, "val": 2, "test": 2})
    places = (f"dataset.root={pictures}", f"run_dir={folder / 'run'}")
    train(training(*TINY, *places, "epochs=1", "schedule.warmup_epochs=0"))
    return folder / "run" / "last.ckpt"


@pytest.fixture
def export() -> Callable[..., Path]:
    """What ``agnet export`` does with its options."""

    def run(checkpoint: Path, form: str) -> Path:
        config = validate(export_command.ExportConfig, {"checkpoint": checkpoint, "format": form})
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
    """Every weight of Lightning's file is in the folder; classes and input size came along."""
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
