"""Exported files answer as the network does, whatever the batch and the number of boxes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet_vision import AGNet
from agnet_vision.errors import ConfigError
from agnet_vision.export.onnx import BoxesIn, GridIn, export_onnx, export_program
from agnet_vision.predict.files import find_images
from agnet_vision.predict.predictor import Predictor
from benchmarks import onnx as benchmark
from benchmarks.child import write_images
from tests.conftest import random_regions

onnxruntime = pytest.importorskip("onnxruntime")
EXAMPLE = Path(__file__).parents[2] / "docs/examples/onnx_predict.py"


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 5, num_clusters=3, classes=tuple("abcde")).eval()


@pytest.fixture(scope="module")
def onnx_file(model: AGNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(model, tmp_path_factory.mktemp("onnx") / "model.onnx")


def answer(path: Path, **inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    return torch.from_numpy(logits)


@pytest.mark.parametrize("batch", [1, 5])
def test_value_batch_and_empty_slots(model: AGNet, onnx_file: Path, batch: int) -> None:
    images, regions = torch.randn(batch, 3, 160, 160), random_regions(batch, 3, masked=2)
    with torch.no_grad():
        expected = model(images, regions)
    torch.testing.assert_close(
        answer(onnx_file, images=images, boxes=regions.boxes), expected, atol=1e-4, rtol=1e-4
    )


def test_value_fewer_boxes(model: AGNet, onnx_file: Path) -> None:
    """Three primary boxes and the whole image, no pairs."""
    images, regions = torch.randn(2, 3, 160, 160), random_regions(2, 3)
    given = torch.cat([regions.boxes[:, :3], regions.boxes[:, -1:]], dim=1)
    regions.mask[:, 3:-1] = False
    with torch.no_grad():
        expected = model(images, regions)
        torch.testing.assert_close(BoxesIn(model)(images, given), expected)
    torch.testing.assert_close(
        answer(onnx_file, images=images, boxes=given), expected, atol=1e-4, rtol=1e-4
    )


def test_a_bad_box_gives_nan(onnx_file: Path) -> None:
    regions = random_regions(2, 3)
    regions.boxes[1, 0] = torch.tensor([0.9, 0.1, 0.2, 0.5])
    logits = answer(onnx_file, images=torch.randn(2, 3, 160, 160), boxes=regions.boxes)
    assert logits.isfinite().all(dim=1).tolist() == [True, False]


def test_value_program(model: AGNet, tmp_path: Path) -> None:
    """torch.export keeps the batch dynamic, and survives the disk."""
    torch.export.save(export_program(model, grid=True), tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    images = torch.randn(4, 3, 160, 160)
    torch.testing.assert_close(program(images), GridIn(model)(images), atol=1e-5, rtol=1e-5)


def test_the_example_needs_no_torch() -> None:
    imported = re.findall(r"^(?:import|from) (\w+)", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert "onnxruntime" in imported
    assert not {"torch", "agnet_vision"} & set(imported)


def test_grad_cam(model: AGNet) -> None:
    """pytorch-grad-cam runs on the one-input form, with the backbone's map."""
    grad_cam = pytest.importorskip("pytorch_grad_cam")
    with grad_cam.GradCAM(GridIn(model), [model.backbone]) as cam:
        heat = cam(torch.randn(2, 3, 160, 160), targets=None)  # None: each image's best class
    assert heat.shape == (2, 160, 160)
    assert np.isfinite(heat).all()
    assert heat.max() > 0


def test_benchmark(model: AGNet, onnx_file: Path, tmp_path: Path) -> None:
    """The file scores what the network scores, on folders that bear names of classes."""
    images = write_images(tmp_path, {"test": 3}, classes=("a", "b", "e")) / "test"
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    arguments = parser.parse_args([str(onnx_file), "--images", str(images), "--timed", "2"])
    (row,) = benchmark.run(arguments)["files"].values()
    rows = list(Predictor(model)(find_images(images)))
    assert row["accuracy"] == sum(r.top()[0][0] == r.path.parent.name for r in rows) / len(rows)
    assert row["agreement"] == row["ratio"]["median"] == 1
    (images / "a").rename(images / "cow")
    with pytest.raises(ConfigError, match=r"named after the classes .* got .'cow'"):
        benchmark.run(arguments)


def test_benchmark_of_a_network_without_regions(tmp_path: Path) -> None:
    """Its file takes images alone."""
    images = write_images(tmp_path, {"test": 1}, classes=("a", "b")) / "test"
    plain = AGNet("test_resnet", 2, num_clusters=2, variant="backbone_only", classes=("a", "b"))
    path = export_onnx(plain.eval(), tmp_path / "plain.onnx")
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    arguments = parser.parse_args([str(path), "--images", str(images), "--timed", "1"])
    (row,) = benchmark.run(arguments)["files"].values()
    assert row["agreement"] == 1


def test_value_tokens(tmp_path: Path) -> None:
    """A network of tokens, away from its neutral start, exports as a CNN does."""
    torch.manual_seed(0)
    vit = AGNet("test_vit", 5, num_clusters=2, backbone_kwargs={"img_size": 64, "depth": 1}).eval()
    vit.data_config["input_size"] = (3, 64, 64)
    assert vit.head.self_attention is not None
    vit.head.self_attention.delta.data.fill_(0.5)
    images, regions = torch.randn(2, 3, 64, 64), random_regions(2, 2, masked=1)
    with torch.no_grad():
        expected = vit(images, regions)
    file = export_onnx(vit, tmp_path / "vit.onnx")
    torch.testing.assert_close(
        answer(file, images=images, boxes=regions.boxes), expected, atol=1e-4, rtol=1e-4
    )
