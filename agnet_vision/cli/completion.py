"""Completion by the shell, which Hydra does; here the name of the command is taken off its way."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from agnet_vision.cli.command import COMMANDS


def complete(words: Sequence[str]) -> None:
    """Answer ``agnet -sc install=bash`` and what the shell asks when Tab is pressed."""
    from agnet_vision.cli.job import run_command

    line = os.environ.get("COMP_LINE", "")
    program, _, rest = line.partition(" ")
    name, space, options = rest.lstrip().partition(" ")
    if words[:1] == ["query=bash"] and not space:
        print("\n".join(each for each in COMMANDS if each.startswith(name)))
        return
    if space:
        os.environ["COMP_LINE"] = f"{program} {options}"
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    if name in COMMANDS or not name:
        run_command(name or "train", ["--shell-completion", *words], sys.argv[:1])
