"""``agnet COMMAND name=value ...``: the console program, and ``tools/``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agnet_vision.errors import ConfigError, extra_needed

USAGE = """usage: agnet COMMAND [name=value ...]

Attend-and-guide networks: trained, tested, explained and exported.

commands:
{commands}

agnet COMMAND --help lists its options; agnet --version says which version this is."""


def main() -> None:
    """Run the command that the first word names."""
    from agnet_vision.cli.shell_errors import one_line_errors

    words = sys.argv[1:]
    with one_line_errors(), extra_needed("train"):
        from agnet_vision.cli.command import COMMANDS

        if not words or words[0] in ("--help", "-h", "help"):
            lines = "\n".join(f"  {name:14}{what}" for name, what in COMMANDS.items())
            print(USAGE.format(commands=lines))
        elif words[0] in ("--version", "-V"):
            from importlib.metadata import version

            print(f"agnet_vision {version('agnet_vision')}")
        elif words[0] in ("--shell-completion", "-sc"):
            from agnet_vision.cli.completion import complete

            complete(words[1:])
        elif words[0] not in COMMANDS:
            from agnet_vision.options.validation import did_you_mean

            hint = did_you_mean(words[0], list(COMMANDS))
            raise ConfigError(f"there is no command {words[0]}{hint or '; agnet --help lists all'}")
        else:
            dispatch(words[0], words[1:], sys.argv[:2])


def run(name: str) -> None:
    """Run one command with this process's words, for ``tools/``."""
    from agnet_vision.cli.shell_errors import one_line_errors

    with one_line_errors(), extra_needed("train"):
        dispatch(name, sys.argv[1:], sys.argv[:1])


def dispatch(name: str, words: Sequence[str], program: Sequence[str]) -> None:
    """Run a command, or say what it takes.

    Args:
        name: of the command.
        words: after it.
        program: the words before those.

    Raises:
        AGNetError: whatever the user can repair.
    """
    from agnet_vision.cli import benchmark
    from agnet_vision.cli import shell_errors as shell

    if name == "benchmark":
        benchmark.run(words, shell.program(name))
    elif {"--help", "-h"} & set(words):
        from agnet_vision.cli.command import load_command
        from agnet_vision.cli.reference import help_text

        print(help_text(name, load_command(name), shell.program(name)))
    else:
        from agnet_vision.cli.job import run_command

        run_command(name, words, program)
