"""``agnet evaluate``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.run import EvaluateConfig
from agnet_vision.training.run import evaluate_with

COMMAND = Command(
    schema=EvaluateConfig,
    call=evaluate_with,
    examples=(
        "checkpoint=outputs/demo/my_run",
        "checkpoint=my_model dataset=stanford40 split=val",
        "checkpoint=outputs/folder/my_run dataset.root=/where/it/lies/now",
    ),
    layers={
        "dataset": "dataset.name, and that dataset's options; left out: the run's own",
        "trainer": "auto | cpu | gpu | ddp: accelerator, devices and strategy together",
    },
    sweeps=True,
)
