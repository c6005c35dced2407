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
    has_run_dir=True,
)
