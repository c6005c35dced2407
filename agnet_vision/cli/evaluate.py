"""``agnet evaluate``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.resolve import check_evaluation
from agnet_vision.options.run import EvaluateConfig
from agnet_vision.training.run import run_evaluation

COMMAND = Command(
    schema=EvaluateConfig,
    call=run_evaluation,
    check=check_evaluation,
    examples=(
        "checkpoint=outputs/demo/my_run",
        "checkpoint=my_model dataset=stanford40 split=val",
        "checkpoint=outputs/folder/my_run dataset.root=/where/it/lies/now",
    ),
    has_run_dir=True,
)
