"""Messages at the start and end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig

# File of a run -> what it is for.
FILES = {
    "report.html": "everything measured; open it in a browser",
    "views.png": "the first training images as the network saw them",
    "metrics.json": "scores",
    "predictions.csv": "the prediction for each image",
    "best.ckpt": "the network of the best epoch",
    "last.ckpt": "the last epoch, to go on from",
}


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Make a console that prints names, brackets too, unchanged."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def tell_start(config: TrainConfig, table: SampleTable, model: AGNet, trainer: pl.Trainer) -> None:
    """Say what is trained on what, where."""
    lines = {
        "run": config.run_dir,
        "device": _device(trainer),
        "images": _images(config, table),
        "network": _network(config, model),
        "map": _map(config, model),
    }
    for name, text in lines.items():
        console().print(f"{name:8}{text}")


def _device(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    several = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    return f"{several}{name}, precision {trainer.precision}"


def _images(config: TrainConfig, table: SampleTable) -> str:
    """Count the splits, and say which of them were drawn."""
    sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in table.splits.items())
    text = f"{table.name}, {len(table.classes)} classes: {sizes}"
    drawn = [f"{split} {getattr(config.dataset, f'{split}_fraction'):.0%}" for split in table.drawn]
    if drawn:
        text += f" (drawn from train with seed {config.seed}: {', '.join(drawn)})"
    return text


def _network(config: TrainConfig, model: AGNet) -> str:
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in model.parameters())
    frozen = f", {learned:,} of them learned" if learned < whole else ""
    return f"{model.backbone_name}, {model.variant}: {whole:,} parameters{frozen}"


def _map(config: TrainConfig, model: AGNet) -> str:
    side = -(-config.image_size // model.backbone.stride)
    text = f"{side} x {side} cells at {config.image_size} pixels"
    if not model.head.needs_regions:
        return text
    pool_size = model.head.pool_size
    chosen = ""
    if config.model.head.pool_size is None and pool_size < 7:
        chosen = ", chosen for this map (paper: 7; model.head.pool_size changes it)"
    return f"{text}, {model.head.num_regions} regions pooled to {pool_size} x {pool_size}{chosen}"


def tell_scores(scores: dict[str, Any]) -> None:
    """Print the scores, and the classes with the lowest AP."""
    epoch = f", weights of epoch {scores['best_epoch']}" if "best_epoch" in scores else ""
    views = f", tta={scores['tta']}" if scores.get("tta", "none") != "none" else ""
    title = f"{scores['dataset']}, {scores['split']} split, {scores['num_images']} images"
    table = Table(title=f"{title}{epoch}{views}")
    names = {
        "accuracy": "acc",
        "mean per class": "mean_per_class_acc",
        "mAP": "mAP",
        "top-5": "top5",
    }
    if len(scores["per_class"]) < 6:  # the right one is always among the first five
        del names["top-5"]
    for name in names:
        table.add_column(name, justify="right")
    table.add_row(*(f"{scores[name]:.4f}" for name in names.values()))
    console().print(table)

    rows = [(name, row) for name, row in scores["per_class"].items() if row["ap"] is not None]
    rows = sorted(rows, key=lambda pair: pair[1]["ap"])[:10]
    per_class = Table(
        title="lowest AP" if len(rows) < len(scores["per_class"]) else "classes, lowest AP first"
    )
    for name in ("class", "AP", "accuracy", "images"):
        per_class.add_column(name, justify="left" if name == "class" else "right")
    for name, row in rows:
        per_class.add_row(name, f"{row['ap']:.4f}", f"{row['acc']:.4f}", str(row["num_images"]))
    console().print(per_class)


def tell_where(run_dir: Path, remark: str = "") -> None:
    """Say where everything lies."""
    if remark:
        console().print(remark)
    console().print(f"written to {run_dir}")
    for name, purpose in FILES.items():
        if (run_dir / name).is_file():
            console().print(f"  {name:17}{purpose}")
