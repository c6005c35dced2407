"""Trained networks for other programs: ONNX, ``torch.export``, int8. The graph holds the network; regions come in as boxes.

Inputs are ``images`` (batch, 3, H, W), normalised, and ``boxes`` (batch, regions, 4), fractions as everywhere; batch and region
count are dynamic. A box of four zeros is an empty slot. The last box is the whole image's; those before it fill the slots in
order, so fewer boxes than slots leave the rest empty (kappa + 1 boxes: the primary regions alone). What a program needs to
prepare its input travels as JSON in the file's metadata under ``agnet``.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from agnet_vision.errors import ConfigError
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.boxes import grid_boxes
from agnet_vision.structures import Regions

OPSET = 20  # ours: what today's exporter writes natively, and onnxruntime has read since 1.17


class BoxesIn(nn.Module):
    """An ``AGNet`` whose regions are one tensor: what is exported."""

    def __init__(self, model: AGNet) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        images: Float[Tensor, "batch in_channels height width"],
        boxes: Float[Tensor, "batch given 4"],
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        num_slots, given = self.model.head.num_regions, boxes.shape[1]
        slot = torch.arange(num_slots, device=boxes.device)
        last = slot == num_slots - 1
        source = torch.where(last, given - 1, slot)
        # As a product, since indexing would tie the graph to one count; a row without a one is an empty slot.
        source = torch.where(last | (slot < given - 1), source, -1)
        pick = (source[:, None] == torch.arange(given, device=boxes.device)).to(
            boxes.dtype
        )  # (slots, given)
        boxes = torch.matmul(pick, boxes)
        return self.model(images, Regions(boxes, boxes.ne(0).any(dim=-1)))


class GridIn(nn.Module):
    """An ``AGNet`` on a fixed grid of regions, for tools that feed images only (Grad-CAM, viewers, benchmarks)."""

    def __init__(self, model: AGNet) -> None:
        super().__init__()
        boxes, mask = grid_boxes(model.head.num_clusters)
        self.model = model
        self.boxes: Tensor
        self.mask: Tensor
        self.register_buffer("boxes", torch.from_numpy(boxes), persistent=False)
        self.register_buffer("mask", torch.from_numpy(mask), persistent=False)

    def forward(
        self, images: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        batch = images.shape[0]  # len() would tie the graph to one batch size
        return self.model(
            images, Regions(self.boxes.expand(batch, -1, -1), self.mask.expand(batch, -1))
        )


def export_program(
    model: AGNet, *, image_size: tuple[int, int] | None = None, grid: bool = False
) -> ExportedProgram:
    """Capture the network with ``torch.export``; save it with ``torch.export.save``.

    Args:
        model: the network; it is captured in evaluation mode and put back.
        image_size: (height, width) of the images; by default the network's own. The batch is dynamic, the size is not.
        grid: one input, regions from a fixed grid, instead of two.
    """
    height, width = image_size or model.data_config["input_size"][-2:]
    device = next(model.parameters()).device
    batch, given = (
        3,
        max(model.head.num_regions - 2, 2),
    )  # any but 0 and 1, which the exporter takes for constants
    images = torch.zeros(batch, model.backbone.in_channels, height, width, device=device)
    module: nn.Module = GridIn(model) if grid else BoxesIn(model)
    inputs: tuple[Tensor, ...] = (images,)
    shapes: list[dict[int, Any]] = [{0: Dim("batch", min=1)}]
    if not grid:
        inputs += (
            torch.tensor([0.0, 0.0, 1.0, 1.0], device=device).expand(batch, given, 4).contiguous(),
        )
        shapes.append({0: shapes[0][0], 1: Dim("regions", min=2)})
    training = model.training
    try:
        return torch.export.export(
            module.eval(),
            inputs,
            dynamic_shapes=tuple(shapes),
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    finally:
        model.train(training)


def export_onnx(
    model: AGNet, path: Path | str, *, image_size: tuple[int, int] | None = None, grid: bool = False
) -> Path:
    """Write the network as one ONNX file.

    Args:
        model: the network.
        path: the file.
        image_size: see ``export_program``.
        grid: see ``export_program``.

    Raises:
        ConfigError: the packages that write ONNX are not installed.
    """
    _require("onnx", "onnxscript")
    path, (height, width) = Path(path), image_size or model.data_config["input_size"][-2:]
    program = export_program(model, image_size=(height, width), grid=grid)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the exporter's own deprecations; its errors are exceptions
        onnx_program = torch.onnx.export(
            program,
            input_names=["images"] if grid else ["images", "boxes"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert onnx_program is not None  # None is the answer of the old exporter alone
    onnx_program.model.metadata_props["agnet"] = json.dumps(
        {**model.config(), "image_size": [height, width]}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx_program.save(path, external_data=False)
    return path


def quantize_onnx(
    source: Path | str, path: Path | str, batches: Sequence[tuple[Tensor, Tensor]]
) -> Path:
    """Turn the network of an ONNX file into 8-bit integers; weights a channel, activations a tensor, calibrated on images.

    Args:
        source: a file of ``export_onnx`` with two inputs.
        path: the file to write.
        batches: (images, boxes) to calibrate on, a few dozen images in all.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    _require("onnx", "onnxruntime")
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


def _require(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"exporting needs {' and '.join(missing)}; pip install 'agnet_vision[export]'"
        )
