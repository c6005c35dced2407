"""``agnet train``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.resolve import check_training
from agnet_vision.options.run import TrainConfig
from agnet_vision.training.run import run_training

COMMAND = Command(
    schema=TrainConfig,
    call=run_training,
    check=check_training,
    examples=(
        "",
        "dataset=stanford40 backbone=resnet50 epochs=30 optimizer.lr=0.001",
        "dataset=folder dataset.root=my_photos backbone=convnext_tiny",
        "dataset=stanford40 experiment=paper",
        "resume=true run_dir=outputs/demo/my_run",
        "--multirun seed=0,1,2 model=full,backbone_only",
    ),
    groups={
        "dataset": "where the images come from",
        "backbone": "the network that makes the feature map; any name of timm.list_models() is one",
        "model": "the whole method, or one of the paper's ablations",
        "regions": "where regions come from: the paper's keypoints, or a control",
        "trainer": "accelerator, devices and strategy together",
        "logger": "where losses and scores are logged; several: logger=[csv,wandb]",
        "experiment": "values that other options have from the start",
    },
    has_run_dir=True,
)
