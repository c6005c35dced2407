"""Errors a user can cause, and the one place where a tool turns them into a message.

The library raises these (or ``ValueError``/``TypeError`` for a wrong argument); only the programs in ``tools/`` print them.
Each message says what was expected, what was found, and the cure.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)  # what the system says of a full disk


class AGNetError(Exception):
    """Root of the errors that are the user's to mend; a tool prints the message without a traceback."""


class DatasetNotFoundError(AGNetError):
    """A dataset's files are not where ``dataset.root`` says."""


class DatasetError(AGNetError):
    """A dataset is there but cannot be used as it is (an empty class, no image, contradictory lists)."""


class ImageReadError(AGNetError):
    """A file cannot be decoded as an image."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"cannot read {path} as an image: {reason}")
        self.path, self.reason = Path(path), reason

    def __reduce__(self) -> tuple[type[ImageReadError], tuple[Path, str]]:
        """Survive the trip from a loader worker: the default rebuilds from the message alone."""
        return type(self), (self.path, self.reason)


class CacheError(AGNetError):
    """A region cache is damaged or belongs to other settings."""


class CheckpointError(AGNetError):
    """A checkpoint is missing, damaged, unsafe, or of another model."""


class DiskFullError(AGNetError):
    """A run could not write its files."""


class PredictionError(AGNetError):
    """A network answers with NaN or infinity; scores of that would be made up."""


class ConfigError(AGNetError):
    """An option is unknown or has a value that cannot work."""


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turn a user's mistake into one message on stderr and exit code 1 (130 after Ctrl-C), without a traceback."""
    try:
        yield
    except AGNetError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        print(
            f"interrupted; what was saved stays saved{f'; {stop}' if str(stop) else ''}",
            file=sys.stderr,
        )
        sys.exit(130)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        sys.exit(f"error: {error}; name another place")
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.exit(
            f"error: the disk is full ({error.filename or 'while writing'}); free some space and start again"
        )
