"""``agnet probe``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.probe import ProbeConfig
from agnet_vision.options.resolve import check_probe
from agnet_vision.training.run import run_probe

COMMAND = Command(
    schema=ProbeConfig,
    call=run_probe,
    check=check_probe,
    examples=(
        "dataset=folder dataset.root=my_photos",
        "dataset=folder dataset.root=my_photos backbone=resnet50 image_size=448 max_gb=20",
        "dataset=folder dataset.root=my_photos heads=[average,backbone_only]",
    ),
    has_run_dir=True,
)
