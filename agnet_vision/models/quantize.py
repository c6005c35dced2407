"""Networks of ONNX files in 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from agnet_vision.models.export import require


def quantize_onnx(
    source: Path | str, path: Path | str, batches: Sequence[tuple[Tensor, Tensor]]
) -> Path:
    """Turn the network of an ONNX file into 8-bit integers.

    Weights are quantized a channel, activations a tensor, calibrated on images.

    Args:
        source: a file of ``export_onnx`` with two inputs.
        path: the file to write.
        batches: (images, boxes) to calibrate on, a few dozen images in all.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    require("onnx", "onnxruntime")
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):
        """The batches, as onnxruntime asks for them."""

        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch by the names of the inputs; None after the last."""
            pair = next(self.left, None)
            return None if pair is None else {"images": pair[0].numpy(), "boxes": pair[1].numpy()}

    path = Path(path)
    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    try:
        quantize_static(
            prepared,
            path,
            Batches(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The head's products are small, and its attention wants the precision.
            op_types_to_quantize=["Conv", "Gemm"],
        )
    finally:
        prepared.unlink(missing_ok=True)
    return path
