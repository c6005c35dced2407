"""ONNX networks in 8-bit integers, and how trustworthy they are.

Convolutions and linear layers are quantized, weights per channel and activations per tensor;
attention, pooling and squeeze-excite stay float32. Not every network bears that, so half of the
images measure how often the integers name the class that the floats name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agnet_vision.errors import extra_needed
from agnet_vision.task import SINGLE_LABEL, Task

MIN_AGREEMENT = 0.97  # ours: three images in a hundred may change their class
LAYERS = ("Conv", "Gemm")
# With them a layer's range is that of its activation. Otherwise a ReLU6 network spends most of its
# 256 values on what is cut off a step later.
ACTIVATIONS = ("Clip", "Relu")
CALIBRATION_BATCH = 8  # images that are calibrated on at once, with every layer's output in memory


class LowAgreementWarning(UserWarning):
    """The integers name other classes than the floats too often."""


class Quantized(NamedTuple):
    """A quantized file, and how far it is to be trusted.

    Attributes:
        agreement: share of the images not calibrated on that get the class they had before; of
            several labels, the mean share of images over the labels.
        images: number of those images.
    """

    path: Path
    agreement: float
    images: int


def quantize_onnx(
    source: Path | str,
    path: Path | str,
    inputs: tuple[Tensor, ...],
    task: Task = SINGLE_LABEL,
) -> Quantized:
    """Turn the network of an ONNX file into 8-bit integers.

    A ``LowAgreementWarning`` is given if fewer than 97 % of the classes agree.

    Args:
        source: a file of ``export_onnx``.
        path: the file to write.
        inputs: what the network gets, (images, boxes) or (images,): two hundred images of the kind
            to come, of all classes, and none it was trained on. It is surer of those, so that they
            keep their class more often than new ones will. Every second one, the first included,
            is calibrated on; the others measure the agreement.
        task: what the network's logits mean.

    Raises:
        ValueError: there are fewer than two images.
    """
    if len(inputs[0]) < 2:
        raise ValueError(
            "inputs must hold two images or more, to calibrate on and to measure the agreement, "
            f"got {len(inputs[0])}"
        )
    with extra_needed("export"):
        from onnxruntime.quantization.shape_inference import quant_pre_process

    path = Path(path)
    calibration, others = (tuple(each[start::2] for each in inputs) for start in (0, 1))
    with TemporaryDirectory(dir=path.parent, prefix=".int8_") as folder:
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        _quantize(prepared, made, calibration)
        before, after = (
            task.decide(task.probabilities(torch.from_numpy(run(file, others))).numpy())
            for file in (prepared, made)
        )
        made.replace(path)

    same = (before == after).all(axis=1) if task.is_exclusive else before == after
    agreement = float(same.mean())
    if agreement < MIN_AGREEMENT:
        warnings.warn(
            f"the 8-bit network gives {agreement:.3f} of {len(same)} images the class of the float "
            f"network, and should give {MIN_AGREEMENT}; measure its accuracy on labeled images "
            "before you use it, or use the float network",
            LowAgreementWarning,
            stacklevel=2,
        )
    return Quantized(path, agreement, len(same))


def run(path: Path | str, inputs: tuple[Tensor, ...]) -> Float[np.ndarray, "images classes"]:
    """Compute the logits of all images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return np.concatenate([session.run(None, batch)[0] for batch in _batches(session, inputs)])


def _quantize(source: Path, path: Path, inputs: tuple[Tensor, ...]) -> None:
    """Quantize, with ranges that hold what the inputs give."""
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    batches = _batches(onnxruntime.InferenceSession(source), inputs)

    class Reader(CalibrationDataReader):
        """The inputs, as onnxruntime asks for them."""

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch by input names, or None."""
            return next(batches, None)

    quantize_static(
        source,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=[*LAYERS, *ACTIVATIONS],
    )


def _batches(session: Any, inputs: tuple[Tensor, ...]) -> Iterator[dict[str, Any]]:
    """Split the inputs into batches by the network's input names."""
    names = [value.name for value in session.get_inputs()]
    for batch in zip(*(each.split(CALIBRATION_BATCH) for each in inputs), strict=True):
        yield {name: each.numpy() for name, each in zip(names, batch, strict=True)}
