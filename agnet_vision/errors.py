"""Errors a user can cause.

The library raises these, or ``ValueError``/``TypeError`` for a wrong argument; only the command
line prints them. Each message says what was expected, what was found, and the cure, in the words of
Python.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)  # what the system says of a full disk


class AGNetError(Exception):
    """A mistake that the user can repair, printed without traceback."""


class DatasetNotFoundError(AGNetError):
    """A dataset whose files are not where ``dataset.root`` says."""


class DatasetError(AGNetError):
    """A dataset that cannot be used: a class is empty, or its lists contradict each other."""


class ImageReadError(AGNetError):
    """A file that cannot be decoded as an image."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"cannot read {path} as an image: {reason}")
        self.path, self.reason = Path(path), reason

    def __reduce__(self) -> tuple[type[ImageReadError], tuple[Path, str]]:
        """Survive the trip from a loader worker; the default rebuilds from the message alone."""
        return type(self), (self.path, self.reason)


class CacheError(AGNetError):
    """A region cache that is damaged or was made with other settings."""


class CheckpointError(AGNetError):
    """A checkpoint that is missing, damaged, unsafe, or of another model."""


class DiskFullError(AGNetError):
    """A run that could not write its files."""


class PredictionError(AGNetError):
    """An answer of a network with NaN or infinity, from which any score would be made up."""


class ConfigError(AGNetError):
    """An unknown option, or a value that cannot work."""


class Stopped(KeyboardInterrupt):
    """The end of a run by a signal; what was saved stays saved.

    Attributes:
        number: number of the signal, 2 after Ctrl-C and 15 after SIGTERM.
    """

    def __init__(self, number: int, advice: str = "") -> None:
        super().__init__(*filter(None, [advice]))
        self.number = int(number)


# The extra that has a package, where that is not the one asked for.
EXTRAS = {
    "datasets": "hf",
    "distributed": "cluster",
    "gradio": "demo",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "optuna": "search",
}


@contextmanager
def extra_needed(extra: str) -> Iterator[None]:
    """Name the extra to install where a package cannot be imported inside the block.

    Args:
        extra: extra to name for packages that no other extra has.

    Raises:
        ConfigError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("agnet_vision"):
            raise
        package = (error.name or "").partition(".")[0]
        raise ConfigError(
            f"{package} is not installed; pip install 'agnet_vision[{EXTRAS.get(package, extra)}]'"
        ) from error
