"""The library's errors as single lines on a terminal."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agnet_vision.errors import FULL, AGNetError


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
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:  # or Stopped, which says how to go on
        advice = f"; {stop}" if str(stop) else ""
        print(f"interrupted; what was saved stays saved{advice}", file=sys.stderr)
        sys.exit(128 + getattr(stop, "number", signal.SIGINT))
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
