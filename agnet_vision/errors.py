"""Errors a user can cause.

The library raises these, or ``ValueError``/``TypeError`` for a wrong argument; only the command
line prints them. Each message says what was expected, what was found, and the cure; options are
written ``name=value``, and a cure that is a command travels as data.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

FULL = (errno.ENOSPC, errno.EDQUOT)  # what the system says of a full disk


class ShellCommand(NamedTuple):
    """A command that cures an error: the word after ``agnet``, and values of options by name."""

    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        words = [f"{name}={as_typed(value)}" for name, value in self.options.items()]
        return f"agnet {self.name} {shlex.join(words)}"


def first_line(error: BaseException) -> str:
    """Cut an error's message to its first line, or say its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def as_typed(value: Any) -> str:
    """Write the value of an option as it is typed: null, true, false and lists."""
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    named = {None: "null", True: "true", False: "false"}
    return named[value] if value is None or isinstance(value, bool) else str(value)


class AGNetError(Exception):
    """A mistake that the user can repair, printed without traceback.

    The message says what is wrong, and the cure; ``command`` is its end where that is a command.
    """

    def __init__(self, message: str, command: ShellCommand | None = None) -> None:
        super().__init__(message, command)
        self.message, self.command = message, command

    def __str__(self) -> str:
        return f"{self.message} {self.command}" if self.command else self.message


class DatasetNotFoundError(AGNetError):
    """A dataset whose files are not where ``dataset.root`` says."""


class DatasetError(AGNetError):
    """A dataset that cannot be used: a class is empty, or its lists contradict each other."""


class ImageReadError(AGNetError):
    """A file that cannot be decoded as an image."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"cannot read {path} as an image: {reason}")
        self.path, self.reason = Path(path), reason
        self.args = (self.path, reason)  # what it is made from again after a loader worker sent it


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
        advice: how to go on.
        command: the end of the advice, where it is a command.
    """

    def __init__(self, number: int, advice: str = "", command: ShellCommand | None = None) -> None:
        super().__init__(number, advice, command)
        self.number, self.advice, self.command = int(number), advice, command

    def __str__(self) -> str:
        return f"{self.advice} {self.command}" if self.command else self.advice


# The extra that has a package, where that is not the one asked for.
EXTRAS = {
    "datasets": "hf",
    "distributed": "cluster",
    "gradio": "demo",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "optuna": "search",
    "pycocotools": "coco",
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
