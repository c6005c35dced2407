"""8-bit files answer as floats do, or say otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from agnet_vision import AGNet
from agnet_vision.export import quantize
from agnet_vision.export.onnx import export_onnx
from agnet_vision.export.quantize import LowAgreementWarning, quantize_onnx, run
from tests.conftest import random_regions

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def draw_inputs(images: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw smooth noise, so that images differ as real ones do, and boxes."""
    torch.manual_seed(0)
    coarse = 3 * torch.randn(images, 3, 4, 4)
    smooth = nn.functional.interpolate(coarse, (96, 96), mode="bicubic")
    return smooth, random_regions(images, 2, masked=1).boxes


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=2, image_size=96).eval()
    model.data_config["input_size"] = (3, 96, 96)
    return export_onnx(model, tmp_path_factory.mktemp("onnx") / "model.onnx")


def test_value(onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close to the floats, though logits of random weights lie close together, too."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 0.5)
    inputs = draw_inputs()
    made = quantize_onnx(onnx_file, tmp_path / "int8.onnx", inputs)
    assert made.path.stat().st_size < onnx_file.stat().st_size
    assert list(tmp_path.iterdir()) == [made.path]
    floats, integers = run(onnx_file, inputs), run(made.path, inputs)
    assert np.corrcoef(integers.ravel(), floats.ravel())[0, 1] > 0.95
    same = integers.argmax(1) == floats.argmax(1)
    assert made.agreement == same[1::2].mean() >= 0.8
    assert made.images == 32


def test_value_images_that_measure_do_not_calibrate(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty times brighter measuring images change nothing, calibrating ones do."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 0.0)

    def make(bright: slice) -> bytes:
        images, boxes = draw_inputs(8)
        images[bright] *= 40
        return quantize_onnx(onnx_file, tmp_path / "int8.onnx", (images, boxes)).path.read_bytes()

    whole = make(slice(0))
    assert make(slice(1, None, 2)) == whole
    assert make(slice(0, None, 2)) != whole


def test_warns_below_the_agreement(
    onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that nothing can reach."""
    monkeypatch.setattr(quantize, "MIN_AGREEMENT", 2.0)
    with pytest.warns(LowAgreementWarning, match=r"gives [01]\.\d+ of 8 images the class"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_inputs(16))
    with pytest.raises(ValueError, match="got 1"):
        quantize_onnx(onnx_file, tmp_path / "int8.onnx", draw_inputs(1))
