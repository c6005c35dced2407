"""``agnet export``: a trained network for other programs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from agnet_vision.cli.command import Command
from agnet_vision.errors import ConfigError
from agnet_vision.options.fields import Checkpoint, ImageSize, LocalPath, Options, Place, option
from agnet_vision.options.resolve import run_folder_of

if TYPE_CHECKING:
    from torch import Tensor

    from agnet_vision.models.agnet import AGNet

SUFFIXES = {"onnx": ".onnx", "int8": ".int8.onnx", "program": ".pt2", "pretrained": "_pretrained"}


class ExportConfig(Options):
    """Options of ``agnet export``."""

    checkpoint: Checkpoint
    format: Literal["onnx", "int8", "program", "pretrained"] = option(
        "form of the result; int8: ONNX in 8-bit integers; program: torch.export; pretrained: a "
        "folder to share"
    )
    output: LocalPath | None = option("file, or folder for pretrained; null: beside the checkpoint")
    image_size: ImageSize
    grid: bool = option("one input, the images alone, with regions from a fixed grid")
    images: Place | list[Place] | None = option(
        "int8 only: images to calibrate on, not those of the training: a file, folder or pattern",
    )
    calibration: int = option(
        "int8 only: number of those images, at most; half of them measure the agreement", ge=2
    )

    @model_validator(mode="after")
    def _check(self) -> ExportConfig:
        if self.format == "int8" and self.images is None:
            raise ValueError("format=int8 needs images to calibrate on")
        if self.format != "int8" and self.images is not None:
            raise ValueError(f"images are for format=int8, to calibrate on; got {self.format}")
        return self


def export(config: ExportConfig) -> Path:
    """Write the file or folder, and return where it is."""
    import torch

    logging.getLogger().setLevel(logging.WARNING)  # the exporter tells of every constant it merges
    from agnet_vision.data.preprocessing import change_view
    from agnet_vision.export.onnx import export_onnx, export_program
    from agnet_vision.export.quantize import quantize_onnx
    from agnet_vision.models.agnet import load_model

    model = load_model(config.checkpoint)
    model.data_config = change_view(model.data_config, image_size=config.image_size)
    path = Path(config.output) if config.output else default_output(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    match config.format:
        case "pretrained":
            scores = {"metrics": measured(config.checkpoint, model.task.headline[:3])}
            model.save_pretrained(path, model_card_kwargs=scores)
        case "program":
            torch.export.save(export_program(model, grid=config.grid), path)
        case "onnx":
            export_onnx(model, path, grid=config.grid)
        case "int8":
            inputs = calibration_inputs(model, config)
            source = export_onnx(model, path.with_suffix(".float.onnx"), grid=config.grid)
            try:
                made = quantize_onnx(source, path, inputs, model.task)
            finally:
                source.unlink()
            what = "class" if model.task.is_exclusive else "labels, on average over them"
            print(f"{made.agreement:.3f} of {made.images} other images keep their {what}")
    return path


def measured(
    checkpoint: str, names: Sequence[str] = ("acc", "mean_per_class_acc", "mAP")
) -> dict[str, float]:
    """Read the run's scores on the test split, if any."""
    from agnet_vision.evaluation.run_folder import RunFolder

    folder = RunFolder(run_folder_of(checkpoint))
    if not folder.metrics.is_file():
        return {}
    scores = folder.read_metrics()
    views = f" (tta={scores['tta']})" if scores.get("tta", "none") != "none" else ""
    return {f"{scores['split']} {name}{views}": scores[name] for name in names}


def default_output(config: ExportConfig) -> Path:
    """Name the output: beside the checkpoint, or in the working folder for one of the Hub."""
    source = Path(config.checkpoint)
    folder = run_folder_of(source) if source.exists() else Path()
    return folder / f"{'model' if source.is_dir() else source.stem}{SUFFIXES[config.format]}"


def calibration_inputs(model: AGNet, config: ExportConfig) -> tuple[Tensor, ...]:
    """Prepare images, spread evenly over those found."""
    import numpy as np
    import torch

    from agnet_vision.data.image import read_image
    from agnet_vision.export.onnx import has_boxes
    from agnet_vision.predict.files import find_images
    from agnet_vision.predict.prepared import Preparation, batch_of

    found = find_images(config.images or [])
    # Files come sorted by folder, so the first ones would all be of one class.
    count = min(config.calibration, len(found))
    if count < 2:
        raise ConfigError(f"images must be two or more, to calibrate on and to test, got {count}")
    paths = [found[round(number)] for number in np.linspace(0, len(found) - 1, count)]
    prepare = Preparation(model)
    batches = [batch_of(prepare([read_image(path)])) for path in paths]
    images = torch.cat([inputs for inputs, _ in batches])
    if not has_boxes(model, config.grid):
        return (images,)
    return images, torch.cat([regions.boxes for _, regions in batches])


COMMAND = Command(
    schema=ExportConfig,
    call=lambda config: print(export(config)),
    examples=(
        "checkpoint=outputs/demo/my_run format=onnx",
        "checkpoint=outputs/demo/my_run format=int8 images=photos",
        "checkpoint=outputs/demo/my_run format=pretrained output=to_share",
    ),
)
