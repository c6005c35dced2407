"""``agnet train``."""

from __future__ import annotations

from typing import get_args

from agnet_vision.cli.command import Command
from agnet_vision.models.head import VARIANTS
from agnet_vision.options.run import TrainConfig
from agnet_vision.regions.sources import Source
from agnet_vision.training.run import train_with

COMMAND = Command(
    schema=TrainConfig,
    call=train_with,
    examples=(
        "",
        "dataset=stanford40 backbone=resnet50 epochs=30 optimizer.lr=0.001",
        "dataset=folder dataset.root=my_photos backbone=convnext_tiny",
        "dataset=stanford40 experiment=paper",
        "resume=true run_dir=outputs/demo/my_run",
        "--multirun seed=0,1,2 run_dir='outputs/seeds/${seed}'",
    ),
    layers={
        "dataset": "dataset.name, and that dataset's options",
        "backbone": "backbone.name: any name of timm.list_models()",
        "model": f"model.variant: {' | '.join(VARIANTS)}",
        "regions": f"regions.source: {' | '.join(get_args(Source))}",
        "trainer": "auto | cpu | gpu | ddp: accelerator, devices and strategy together",
        "logger": "logger.name: tensorboard | csv | wandb | mlflow | comet | none, or a list",
        "experiment": "none | paper | recommended | a YAML file: values that other options have "
        "from the start",
    },
    sweeps=True,
)
