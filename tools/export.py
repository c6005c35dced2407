"""Export a trained network: ``python tools/export.py checkpoint=... format=onnx``; conf/export.yaml lists every option."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors

if TYPE_CHECKING:
    from torch import Tensor

    from agnet_vision import AGNet

SUFFIXES = {"onnx": ".onnx", "int8": ".int8.onnx", "program": ".pt2", "pretrained": ""}
CALIBRATION_BATCH = 8


@hydra.main(version_base=None, config_path="../conf", config_name="export")
def main(config: DictConfig) -> None:
    """Export; heavy imports wait until the options are known to be right."""
    with friendly_errors():
        if config.format not in SUFFIXES:
            raise ConfigError(f"format must be one of {', '.join(SUFFIXES)}, got {config.format!r}")
        if config.format == "int8" and (config.images is None or config.grid):
            raise ConfigError("format=int8 needs images= to calibrate on, and grid=false")
        if config.calibration < 1:
            raise ConfigError(f"calibration must be at least 1, got {config.calibration}")
        print(export(config))


def export(config: DictConfig) -> Path:
    """Write the file or folder, and return where it is."""
    import torch

    logging.getLogger().setLevel(
        logging.WARNING
    )  # the ONNX exporter tells of every constant it merges
    from agnet_vision.models.agnet import load_model
    from agnet_vision.models.export import export_onnx, export_program, quantize_onnx

    model = load_model(config.checkpoint)
    if config.image_size is not None:
        model.data_config["input_size"] = (
            model.backbone.in_channels,
            config.image_size,
            config.image_size,
        )
    path = Path(config.output) if config.output else default_output(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    match config.format:
        case "pretrained":
            scores = {"metrics": measured(config.checkpoint)}
            model.save_pretrained(path, model_card_kwargs=scores)
            return path
        case "program":
            torch.export.save(export_program(model, grid=config.grid), path)
            return path
        case "onnx":
            return export_onnx(model, path, grid=config.grid)
        case _:
            source = export_onnx(model, path.with_suffix(".float.onnx"))
            try:
                return quantize_onnx(
                    source, path, calibration_batches(model, config.images, config.calibration)
                )
            finally:
                source.unlink()


def measured(checkpoint: str) -> dict[str, float]:
    """Read the scores on the test split, if the checkpoint lies in a run folder that has them."""
    source = Path(checkpoint)
    file = (source if source.is_dir() else source.parent) / "metrics.json"
    if not file.is_file():
        return {}
    scores = json.loads(file.read_text(encoding="utf-8"))
    return {
        f"{scores['split']} {name}": scores[name] for name in ("acc", "mean_per_class_acc", "mAP")
    }


def default_output(config: DictConfig) -> Path:
    """Name the output after the checkpoint, beside it; what comes from the Hub goes into the current folder."""
    source = Path(config.checkpoint)
    folder = source if source.is_dir() else source.parent if source.is_file() else Path()
    return folder / (
        f"{'model' if source.is_dir() else source.stem}{SUFFIXES[config.format] or '_pretrained'}"
    )


def calibration_batches(model: AGNet, images: str, count: int) -> list[tuple[Tensor, Tensor]]:
    """Prepare photographs as the network sees them."""
    import torch

    from agnet_vision.data.image import read_image
    from agnet_vision.explain.files import find_images
    from agnet_vision.explain.prepared import prepare_images

    paths = find_images(images)[:count]
    batches = []
    for start in range(0, len(paths), CALIBRATION_BATCH):
        views = prepare_images(
            model, [read_image(path) for path in paths[start : start + CALIBRATION_BATCH]]
        )
        inputs, boxes = [view.input for view in views], [view.regions.boxes for view in views]
        batches.append((torch.stack(inputs), torch.cat(boxes)))
    return batches


if __name__ == "__main__":
    with friendly_errors():
        check_options("export")
        main()
