"""docs/examples/onnx_predict.py prepares its input and answers as predict does."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from agnet_vision import AGNet, RegionProposer
from agnet_vision.data.image import read_image
from agnet_vision.export.onnx import export_onnx
from agnet_vision.predict.prepared import Preparation
from agnet_vision.task import SINGLE_LABEL, MultiLabel

pytest.importorskip("onnxruntime")
EXAMPLE = Path(__file__).parents[2] / "docs/examples/onnx_predict.py"
# Height and width: common, extreme, tiny, and so long that only the middle is used.
SHAPES = ((300, 420), (420, 300), (250, 250), (20, 380), (400, 9), (1, 1), (3, 400), (33, 31))
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "squash": {"data": {"crop_mode": "squash", "crop_pct": 1.0}},
    "bicubic": {"data": {"interpolation": "bicubic", "crop_pct": 0.7}},
    "orb": {"regions": {"detector": "orb", "max_side": 200, "keep_fraction": 0.8, "seed": 3}},
    "grid": {"regions": {"source": "grid"}},
}


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE), run_name="example")


def make_model(data: dict[str, Any] | None = None, regions: dict[str, Any] | None = None) -> AGNet:
    torch.manual_seed(0)
    proposer = RegionProposer(num_clusters=4, **(regions or {}))
    model = AGNet("test_resnet", 3, num_clusters=4, proposer=proposer, classes=tuple("abc"))
    model.data_config |= data or {}
    return model.eval()


@pytest.mark.parametrize("name", SETTINGS)
def test_value_inputs_of_all_shapes(example: dict[str, Any], name: str) -> None:
    model = make_model(**SETTINGS[name])
    temple = load_sample_images().images[0]
    for height, width in SHAPES:
        image = np.ascontiguousarray(temple[:height, :width])
        inputs = example["prepare"](image, model.config())
        (expected,) = Preparation(model)([image])
        np.testing.assert_allclose(inputs["images"][0], expected.input.numpy(), atol=1e-5)
        np.testing.assert_allclose(inputs["boxes"], expected.regions.boxes.numpy(), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_value_pixels(example: dict[str, Any], tmp_path: Path, channels: int) -> None:
    """Gray, color and transparency are read as the library does."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    read = example["read_image"](str(tmp_path / "a.png")).astype(int)
    assert np.abs(read - read_image(tmp_path / "a.png")).max() <= 1


def test_value_several_labels(example: dict[str, Any], tmp_path: Path) -> None:
    """The file says that outputs are sigmoids, and from which thresholds on labels are given."""
    model = make_model()
    model.task = MultiLabel((0.2, 0.9, 0.4))
    _, config = example["open_network"](str(export_onnx(model, tmp_path / "model.onnx")))
    logits = np.array([[0.1, 2.0, -3.0], [-0.2, 2.5, 0.6]], np.float32)
    for row, probability in zip(logits, torch.from_numpy(logits).sigmoid().numpy(), strict=True):
        given = example["decide"](row, config["task"])
        assert [config["classes"][k] for k, _ in given] == model.task.decided(probability, "abc")
        np.testing.assert_allclose([p for _, p in given], [probability[k] for k, _ in given])
    (best,) = example["decide"](logits[1], SINGLE_LABEL.settings())
    assert best == (1, pytest.approx(torch.from_numpy(logits[1]).softmax(0)[1].item()))


def test_raises_in_one_line(tmp_path: Path) -> None:
    """A file that is not an image is named, and the others are still classified."""
    network = export_onnx(make_model(), tmp_path / "model.onnx")
    cv2.imwrite(str(tmp_path / "good.png"), load_sample_images().images[1])
    (tmp_path / "bad.jpg").write_text("no image")

    def call(*arguments: Path) -> subprocess.CompletedProcess:
        command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = call(network, tmp_path / "bad.jpg", tmp_path / "good.png")
    assert done.returncode == 1
    assert done.stdout.startswith(str(tmp_path / "good.png"))
    assert done.stderr.startswith(f"error: {tmp_path / 'bad.jpg'}: no image")
    assert len(done.stderr.splitlines()) == 1
    for wrong in (tmp_path / "none.onnx", tmp_path / "bad.jpg"):
        done = call(wrong, tmp_path / "good.png")
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {wrong}: ")
        assert len(done.stderr.splitlines()) == 1
