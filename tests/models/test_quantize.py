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
from agnet_vision.models.quantize import LowAgreementWarning, layers_by_loss, quantize_onnx, run
from tests.conftest import random_regions

pytest.importorskip("onnxruntime")


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


def test_value(onnx_file: Path, tmp_path: Path) -> None:
    batches = draw_batches()
    made = quantize_onnx(onnx_file, tmp_path / "int8.onnx", batches)
    assert made.path.stat().st_size < onnx_file.stat().st_size
    assert list(tmp_path.iterdir()) == [made.path]
    floats, integers = run(onnx_file, batches), run(made.path, batches)
    assert np.abs(integers - floats).max() < 0.5 * floats.std()
    assert made.agreement == (integers.argmax(1) == floats.argmax(1)).mean() >= 0.97
    assert made.images == 32
    assert made.kept_float == ()


def test_warns_below_the_agreement(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that nothing can reach: the ladder is gone through, and the shortfall is said."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 2.0)
    monkeypatch.setattr(quantize, "KEPT_FLOAT", (0.0, 0.5))
    with pytest.warns(LowAgreementWarning, match=r"gives [01]\.\d+ of 32 calibration images"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_batches())


def test_warns_of_few_images(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.warns(LowAgreementWarning, match="2 images are few"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_batches(2)[:2])
    with pytest.raises(ValueError, match="got none"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", [])


def test_value_layers_by_loss(tmp_path: Path) -> None:
    """The layer whose channels differ a thousandfold in size loses most."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    layers[0].weight.data[0] *= 1000  # its output is the second layer's input
    layers[1].weight.data[:, 0] *= 1e-3
    images = torch.randn(4, 3, 16, 16)
    torch.onnx.export(
        network, (images,), tmp_path / "a.onnx", dynamo=True, external_data=False, verbose=False
    )
    batches = [(images,)]
    quantize._quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", batches, ())
    import onnx

    names = [n.name for n in onnx.load(tmp_path / "a.onnx").graph.node if n.op_type == "Conv"]
    assert layers_by_loss(tmp_path / "a.onnx", tmp_path / "b.onnx", batches)[0] == names[1]
