"""Which images a user means, and how the files made from them are called."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agnet_vision.data.image import is_image_name
from agnet_vision.errors import ConfigError


def find_images(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the images that files, folders and patterns name.

    A file named outright is taken whatever its suffix.

    Args:
        where: a file, a folder (searched to the bottom), a pattern such as ``photos/*.jpg``, ``-``
            (a list on stdin), or several of these.

    Raises:
        ConfigError: nothing is there.
    """
    if not isinstance(where, str | Path):
        return [path for part in where for path in find_images(part)]

    if str(where) == "-":
        found = [Path(line.strip()) for line in sys.stdin if line.strip()]
    elif Path(where).is_dir():
        found = sorted(path for path in Path(where).rglob("*") if is_image_name(path.name))
    elif Path(where).exists() or not glob.has_magic(str(where)):
        found = [Path(where)]
    else:
        matches = sorted(Path(name) for name in glob.glob(str(where), recursive=True))
        found = [path for path in matches if path.is_file() and is_image_name(path.name)]

    if not found:
        raise ConfigError(
            f"no images at {where}; give a file, a folder, a pattern such as 'photos/*.jpg', or - "
            "for a list"
        )
    return found


def name_outputs(inputs: Sequence[Path], suffix: str) -> dict[Path, Path]:
    """Name a file after each input: ``cat.jpg.png`` after ``cat.jpg``, as a relative path.

    The outputs lie in folders as the inputs do below the folder that they have in common, so that
    none takes another's place.
    """
    places = {path: Path(os.path.abspath(path)) for path in inputs}
    common = os.path.commonpath([place.parent for place in places.values()])
    return {path: Path(f"{place.relative_to(common)}{suffix}") for path, place in places.items()}
