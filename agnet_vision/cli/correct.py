"""``agnet correct``."""

from __future__ import annotations

from agnet_vision.cli.command import Command
from agnet_vision.options.resolve import check_correction
from agnet_vision.options.run import CorrectConfig
from agnet_vision.training.run import run_correction

COMMAND = Command(
    schema=CorrectConfig,
    call=run_correction,
    check=check_correction,
    examples=(
        "checkpoint=outputs/folder/my_run marks=marks.csv",
        "checkpoint=outputs/folder/my_run marks=masks/ look=yes weight=100",
    ),
    has_run_dir=True,
)
