"""Networks of ONNX files in 8-bit integers, and how far they can be trusted.

Convolutions and linear layers are quantized, their weights a channel, their activations a tensor;
attention, pooling and squeeze-excite stay float32. Not every network bears that: where the integers
name other classes than the floats on the calibration images, the layers that usually lose most stay
float as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from agnet_vision.models.export import require

MIN_AGREEMENT = 0.97  # ours: three images in a hundred may change their class
LAYERS = ("Conv", "Gemm")
# With them a layer's range is that of its activation. Otherwise a ReLU6 network spends most of its
# 256 values on what is cut off a step later.
ACTIVATIONS = ("Clip", "Relu")
MIN_IMAGES = 32  # ours: on fewer neither ranges nor agreement say much

Batches = Sequence[tuple[Tensor, ...]]


class LowAgreementWarning(UserWarning):
    """The integers name another class than the floats too often, or too few images tell."""


class Quantized(NamedTuple):
    """A quantized file.

    Attributes:
        path: of the file.
        agreement: share of the calibration images that get the class they had before.
        images: how many those are.
        kept_float: names of the layers that were left as they are.
    """

    path: Path
    agreement: float
    images: int
    kept_float: tuple[str, ...]


def quantize_onnx(source: Path | str, path: Path | str, batches: Batches) -> Quantized:
    """Turn the network of an ONNX file into 8-bit integers.

    A ``LowAgreementWarning`` says how often the classes agree, if less often than 0.97.

    Args:
        source: a file of ``export_onnx``.
        path: the file to write.
        batches: what the network gets, (images, boxes) or (images,), to calibrate on: a hundred
            images of the kind to come, of all classes, and none it was trained on. It is surer of
            those, so that they keep their class more often than new ones will.

    Raises:
        ConfigError: onnxruntime is not installed.
        ValueError: there are no images.
    """
    require("onnx", "onnxruntime")
    if not batches:
        raise ValueError("batches must hold images to calibrate on, got none")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = Path(path)
    with TemporaryDirectory(dir=path.parent, prefix=".int8_") as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        expected = run(prepared, batches)
        attempts: list[Quantized] = []
        for kept in ((), sensitive_layers(prepared)):
            attempt = Path(folder) / f"{len(attempts)}.onnx"
            _quantize(prepared, attempt, batches, kept)
            agreement = float((run(attempt, batches).argmax(1) == expected.argmax(1)).mean())
            attempts.append(Quantized(attempt, agreement, len(expected), kept))
            if agreement >= MIN_AGREEMENT:
                break
        best = max(attempts, key=lambda attempt: attempt.agreement)
        best.path.replace(path)
    _warn(best)
    return best._replace(path=path)


def run(path: Path | str, batches: Batches) -> Float[np.ndarray, "images classes"]:
    """Compute the logits of all batches."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return np.concatenate([session.run(None, inputs)[0] for inputs in _named(session, batches)])


def sensitive_layers(path: Path | str) -> tuple[str, ...]:
    """Name the layers that lose most in 8 bits: the first, and those of one channel each."""
    import onnx

    layers = [node for node in onnx.load(path).graph.node if node.op_type in LAYERS]
    depthwise = [
        node.name
        for node in layers
        if any(each.name == "group" and each.i > 1 for each in node.attribute)
    ]
    return tuple(dict.fromkeys([*(node.name for node in layers[:1]), *depthwise]))


def _quantize(source: Path, path: Path, batches: Batches, kept_float: Sequence[str]) -> None:
    """Quantize all but the named layers."""
    import onnxruntime
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        """The batches, as onnxruntime asks for them."""

        def __init__(self) -> None:
            self.left = _named(onnxruntime.InferenceSession(source), batches)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch by the names of the inputs; None after the last."""
            return next(self.left, None)

    quantize_static(
        source,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=[*LAYERS, *ACTIVATIONS],
        nodes_to_exclude=list(kept_float),
    )


def _named(session: Any, batches: Batches) -> Iterator[dict[str, Any]]:
    """Give the tensors of each batch the names of the inputs."""
    names = [value.name for value in session.get_inputs()]
    for batch in batches:
        yield {name: each.numpy() for name, each in zip(names, batch, strict=True)}


def _warn(result: Quantized) -> None:
    """Say when the integers are not to be trusted."""
    if result.agreement < MIN_AGREEMENT:
        warnings.warn(
            f"the 8-bit network gives {result.agreement:.3f} of {result.images} calibration images "
            f"the class of the float network, less than {MIN_AGREEMENT}, with "
            f"{len(result.kept_float)} layers kept in float32; measure it on labelled images "
            "before you use it, or use the float network",
            LowAgreementWarning,
            stacklevel=3,
        )
    elif result.images < MIN_IMAGES:
        warnings.warn(
            f"{result.images} images are few to calibrate on; give {MIN_IMAGES} or more of the "
            "kind to come",
            LowAgreementWarning,
            stacklevel=3,
        )
