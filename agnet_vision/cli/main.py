"""``agnet COMMAND name=value ...``: the console program, and ``tools/``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from agnet_vision.cli.command import COMMANDS
from agnet_vision.cli.shell_errors import one_line_errors
from agnet_vision.errors import ConfigError, extra_needed

USAGE = """usage: agnet COMMAND [name=value ...]

Attend-and-guide networks: trained, tested, explained and exported.

commands:
{commands}

agnet COMMAND --help lists its options; agnet --version says which version this is."""

VERSION = f"agnet_vision {version('agnet_vision')}"


def main() -> None:
    """Run the command that the first word names."""
    name, words = (sys.argv[1:] or ["--help"])[0], sys.argv[2:]
    with one_line_errors(), extra_needed("train"):
        if name in ("--help", "-h", "help"):
            lines = "\n".join(f"  {each:14}{what}" for each, what in COMMANDS.items())
            print(USAGE.format(commands=lines))
        elif name in ("--version", "-V"):
            print(VERSION)
        elif name in ("--shell-completion", "-sc"):
            complete(words)
        elif name in COMMANDS:
            dispatch(name, words, sys.argv[:2])
        else:
            from agnet_vision.options.validation import did_you_mean

            hint = (
                did_you_mean(name, [*COMMANDS, "--help", "--version"]) or "; agnet --help lists all"
            )
            raise ConfigError(f"there is no command {name}{hint}")


def run(name: str) -> None:
    """Run one command with this process's words, for ``tools/``."""
    with one_line_errors(), extra_needed("train"):
        dispatch(name, sys.argv[1:], sys.argv[:1])


def dispatch(name: str, words: Sequence[str], started: Sequence[str]) -> None:
    """Run a command with the words behind it, or say what it takes.

    Args:
        started: words before those, by which this process was started.
    """
    if name == "benchmark":
        from agnet_vision.cli import benchmark

        benchmark.run(words)
    elif {"--help", "-h"} & set(words):
        from agnet_vision.cli.reference import help_text

        print(help_text(name))
    elif "--version" in words:
        print(VERSION)
    else:
        from agnet_vision.cli.job import run_command

        run_command(name, words, started)


def complete(words: Sequence[str]) -> None:
    """Answer ``agnet -sc install=bash`` and what the shell asks when Tab is pressed.

    Hydra completes the options, and is not to see the name of the command.
    """
    from agnet_vision.cli.job import run_command

    line = os.environ.get("COMP_LINE", "")
    called, _, rest = line.partition(" ")
    name, space, options = rest.lstrip().partition(" ")
    if list(words) == ["query=bash"] and not space:
        print("\n".join(each for each in COMMANDS if each.startswith(name)))
        return

    if space:
        os.environ["COMP_LINE"] = f"{called} {options}"
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    if name in COMMANDS or not name:
        run_command(name or "train", ["--shell-completion", *words], sys.argv[:1])
