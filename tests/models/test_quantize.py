"""8-bit files answer as the float ones do, or say that they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from agnet_vision import AGNet
from agnet_vision.models import quantize
from agnet_vision.models.export import export_onnx
from agnet_vision.models.quantize import LowAgreementWarning, quantize_onnx, run, sensitive_layers
from tests.conftest import random_regions

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


def draw_batches(images: int = 32) -> list[tuple[torch.Tensor, ...]]:
    """Smooth noise, so that images differ as photographs do."""
    torch.manual_seed(0)
    coarse = 3 * torch.randn(images, 3, 4, 4)
    smooth = nn.functional.interpolate(coarse, (96, 96), mode="bicubic")
    return [
        (part, random_regions(len(part), 2, masked=1).boxes) for part in smooth.split(images // 2)
    ]


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=2, image_size=96).eval()
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return export_onnx(model, path, image_size=(96, 96))


def test_value(onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close to the floats, though logits of random weights lie close together, too."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 0.5)
    batches = draw_batches()
    made = quantize_onnx(onnx_file, tmp_path / "int8.onnx", batches)
    assert made.path.stat().st_size < onnx_file.stat().st_size
    assert list(tmp_path.iterdir()) == [made.path]
    floats, integers = run(onnx_file, batches), run(made.path, batches)
    assert np.corrcoef(integers.ravel(), floats.ravel())[0, 1] > 0.95
    assert made.agreement == (integers.argmax(1) == floats.argmax(1)).mean() >= 0.8
    assert made.images == 32
    assert made.kept_float == ()


def test_warns_below_the_agreement(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that nothing can reach: both ways are tried, and the shortfall is said."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 2.0)
    with pytest.warns(LowAgreementWarning, match=r"gives [01]\.\d+ of 32 calibration images"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_batches())


def test_warns_of_few_images(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 0.0)
    with pytest.warns(LowAgreementWarning, match="2 images are few"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_batches(2)[:2])
    with pytest.raises(ValueError, match="got none"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", [])


def test_value_sensitive_layers(tmp_path: Path) -> None:
    """The first layer and those of one channel each."""
    layers = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8)
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    file = tmp_path / "a.onnx"
    images = torch.randn(4, 3, 16, 16)
    torch.onnx.export(network, (images,), file, dynamo=True, external_data=False, verbose=False)
    names = [node.name for node in onnx.load(file).graph.node if node.op_type == "Conv"]
    assert sensitive_layers(file) == (names[0], names[2])
