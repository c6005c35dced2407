"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY_PATTERN = ".*.tmp"  # what a killed process leaves behind


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name only when it is complete.

    The bytes go to a hidden file beside ``path``, are flushed to the disk, and are then renamed.
    After an error or a full disk, an older file of that name is still whole. Writers of one name
    do not disturb each other: the last one to finish wins.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file, text as UTF-8, into a folder that exists; see ``open_atomically``."""
    with open_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def user_cache() -> Path:
    """Return the user's folder for what can be fetched or made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agnet_vision"
