"""The library's errors as single lines on a terminal."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agnet_vision.errors import FULL, AGNetError, Stopped

# Commands whose file in tools/ has another name.
DOORS = {"prepare": "prepare_dataset", "extract": "extract_regions"}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user's mistake to stderr without a traceback.

    Exits with 1; after Ctrl-C with 130, after another signal with 128 and its number. Letters that
    the terminal's encoding lacks are printed as escapes.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except AGNetError as error:
        sys.exit(f"error: {_with_command(error, error.message)}")
    except Stopped as stop:
        advice = f"; {_with_command(stop, stop.advice)}" if stop.advice else ""
        print(f"interrupted; what was saved stays saved{advice}", file=sys.stderr)
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        print("interrupted; what was saved stays saved", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        sys.exit(f"error: {error}; name another place")
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = error.filename or "while writing"
        sys.exit(f"error: the disk is full ({place}); free some space and start again")


def _with_command(error: AGNetError | Stopped, text: str) -> str:
    """Add the command that cures an error, as this program is called."""
    command = error.command
    return f"{text} {command.typed(program(command.name))}" if command else text


def program(command: str) -> str:
    """Return how the user calls a command, in the form of the current one."""
    started = sys.argv[0] if sys.argv else ""
    if started.endswith(".py") and "tools" in started:
        return f"python tools/{DOORS.get(command, command)}.py"
    return f"agnet {command}"
