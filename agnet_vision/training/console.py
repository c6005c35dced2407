"""What a run prints: its start, its progress, its scores and its files."""

from __future__ import annotations

import copy
import time
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig
from agnet_vision.structures import Regions
from agnet_vision.task import SINGLE_LABEL, Task

# What a line says of an epoch -> its logged name.
LOGGED = {"loss": "train/loss_epoch", "val loss": "val/loss", "acc": "val/acc", "mAP": "val/mAP"}


def console(*, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Create a console that prints names unchanged, those with brackets too."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def print_start(config: TrainConfig, table: SampleTable, model: AGNet, trainer: pl.Trainer) -> None:
    """Print what is trained, on which images, and where."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    several = f"{trainer.world_size} x " if trainer.world_size > 1 else ""

    images = ", ".join(f"{len(samples):,} {split}" for split, samples in table.splits.items())
    drawn = [f"{split} {getattr(config.dataset, f'{split}_fraction'):.0%}" for split in table.drawn]
    if drawn:
        images += f" (drawn from train with seed {config.seed}: {', '.join(drawn)})"

    weights = sum(p.numel() for p in model.parameters())
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = f", {learned:,} of them learned" if learned < weights else ""
    if model.head.needs_regions:
        frozen += (
            f"; {cost_of_head(model):.1f} times the backbone's work (on Stanford-40 "
            "model=backbone_only was as accurate, docs/results.md)"
        )

    lines = {
        "run": config.run_dir,
        "device": f"{several}{name}, precision {trainer.precision}",
        "images": f"{table.name}, {len(table.classes)} classes: {images}",
        "network": f"{model.backbone_name}, {model.variant}: {weights:,} parameters{frozen}",
    }
    for name, text in lines.items():
        console().print(f"{name:8}{text}")


@torch.no_grad()
def cost_of_head(model: AGNet) -> float:
    """Count the multiplications of a forward pass, as a multiple of the backbone's."""
    images = torch.zeros(1, *model.data_config["input_size"])
    slots = model.head.num_regions
    regions = Regions(torch.tensor([0.0, 0, 1, 1]).expand(1, slots, 4), torch.ones(1, slots) > 0)
    model = copy.deepcopy(model).eval()
    with FlopCounterMode(display=False) as backbone:
        feature_map = model.forward_features(images)
    with FlopCounterMode(display=False) as head:
        model.head(feature_map, regions)
    return 1 + head.get_total_flops() / backbone.get_total_flops()


def print_scores(scores: dict[str, Any], task: Task = SINGLE_LABEL) -> None:
    """Print the scores of all classes together."""
    epoch = f", weights of epoch {scores['best_epoch']}" if "best_epoch" in scores else ""
    views = f", tta={scores['tta']}" if scores.get("tta", "none") != "none" else ""
    title = f"{scores['dataset']}, {scores['split']} split, {scores['num_images']} images"
    table = Table(title=f"{title}{epoch}{views}")
    names = list(task.headline)
    if "top5" in names and len(scores["per_class"]) < 6:  # the right one is always among five
        names.remove("top5")
    for name in names:
        table.add_column(name, justify="right")
    table.add_row(*(f"{scores[name]:.4f}" for name in names))
    console().print(table)


def print_place(folder: RunFolder) -> None:
    """Print where the run's files lie."""
    advice = ", open report.html in a browser" if folder.report.is_file() else ""
    console().print(f"written to {folder.path}{advice}")


def progress_callback() -> Callback:
    """Create a progress bar on a terminal or in a notebook, and lines of text elsewhere."""
    screen = console()
    if screen.is_terminal or screen.is_jupyter:
        return ProgressBar(refresh_rate=4, theme=RichProgressBarTheme(metrics_format=".3f"))
    return EpochLines()


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, which counts epochs from one, as the plots do."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Leave out the logger's version."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class EpochLines(Callback):
    """A line of text per epoch: loss, scores, seconds and the run's time left."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the first epoch's clock."""
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line, after validation."""
        seconds = time.monotonic() - self.began
        self.began = time.monotonic()
        if not trainer.is_global_zero:
            return

        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        found = trainer.callback_metrics
        scores = [f"{word} {found[name]:.3f}" for word, name in LOGGED.items() if name in found]
        left = timedelta(seconds=round(seconds * (epochs - epoch)))
        console().print(
            "  ".join((f"epoch {epoch}/{epochs}", *scores, f"{seconds:.0f} s", f"{left} left"))
        )
