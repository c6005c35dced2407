"""Trained networks for other programs: ONNX and ``torch.export``.

The graph holds the network; regions come in as boxes. Inputs are ``images`` (batch, 3, H, W),
normalized and of ``data_config``'s size, and ``boxes`` (batch, regions, 4), fractions as
everywhere; batch and region count are dynamic. A box of four zeros is an empty slot. The last box
is the whole image's; those before it fill the slots in order, so fewer boxes than slots leave the
rest empty (kappa + 1 boxes: the primary regions alone). A network that needs no regions has
``images`` alone.

What a program needs to prepare its input travels as JSON in the file's metadata under ``agnet``:
what ``AGNet.config`` returns. ``docs/examples/onnx_predict.py`` is such a program.
"""

from __future__ import annotations

import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from agnet_vision.errors import extra_needed
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
        # As a product, since indexing would tie the graph to one count; a row without a one is an
        # empty slot.
        source = torch.where(last | (slot < given - 1), source, -1)
        pick = source[:, None] == torch.arange(given, device=boxes.device)  # (slots, given)
        boxes = torch.matmul(pick.to(boxes.dtype), boxes)
        return self.model(images, Regions(boxes, boxes.ne(0).any(dim=-1)))


class GridIn(nn.Module):
    """An ``AGNet`` on a fixed grid, for viewers and benchmarks."""

    def __init__(self, model: AGNet) -> None:
        super().__init__()
        boxes, mask = grid_boxes(model.head.num_clusters)
        self.model = model
        self.boxes = nn.Buffer(torch.from_numpy(boxes), persistent=False)
        self.mask = nn.Buffer(torch.from_numpy(mask), persistent=False)

    def forward(
        self, images: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        batch = images.shape[0]  # len() would tie the graph to one batch size
        regions = Regions(self.boxes.expand(batch, -1, -1), self.mask.expand(batch, -1))
        return self.model(images, regions)


def export_program(model: AGNet, *, grid: bool = False) -> ExportedProgram:
    """Capture the network, for ``torch.export.save`` to save.

    With ``grid``, regions come from a fixed grid, so that images are the only input.
    """
    device = next(model.parameters()).device
    # Any but 0 and 1, which the exporter takes for constants.
    batch, given = 3, max(model.head.num_regions - 2, 2)
    inputs = [torch.zeros(batch, *model.data_config["input_size"], device=device)]
    shapes: list[dict[int, Any]] = [{0: Dim("batch", min=1)}]

    module: nn.Module = GridIn(model)
    if has_boxes(model, grid):
        module = BoxesIn(model)
        whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=device)
        inputs.append(whole.expand(batch, given, 4).contiguous())
        shapes.append({0: shapes[0][0], 1: Dim("regions", min=2)})

    return torch.export.export(
        deepcopy(module).eval(),
        tuple(inputs),
        dynamic_shapes=tuple(shapes),
        prefer_deferred_runtime_asserts_over_guards=True,
    )


def has_boxes(model: AGNet, grid: bool = False) -> bool:
    """Tell whether ``boxes`` is an input of the export."""
    return model.head.needs_regions and not grid


def export_onnx(model: AGNet, path: Path | str, *, grid: bool = False) -> Path:
    """Write the network as one ONNX file; ``export_program`` says what ``grid`` means."""
    with extra_needed("export"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401

    path = Path(path)
    with warnings.catch_warnings():
        # The exporter's own deprecations; its errors are exceptions.
        warnings.simplefilter("ignore")
        onnx_program: Any = torch.onnx.export(
            export_program(model, grid=grid),
            input_names=["images", "boxes"] if has_boxes(model, grid) else ["images"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )

    onnx_program.model.metadata_props["agnet"] = json.dumps(model.config())
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx_program.save(path, external_data=False)
    return path
