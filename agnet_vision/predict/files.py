"""Which images a user means, and how the files made from them are called."""

from __future__ import annotations

import glob
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from agnet_vision.data.image import is_image_content, is_image_name
from agnet_vision.data.sources.layouts.scan import (
    image_files,
    is_litter,
    looks_like_an_image,
    report_skipped,
)
from agnet_vision.data.sources.listing import Listing
from agnet_vision.errors import ConfigError


class SkippedWarning(UserWarning):
    """A warning about files that may be meant, but are not read."""


def find_images(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the images that files, folders and patterns name.

    Folders are read as datasets are: links are followed, hidden folders and those of operating
    systems passed over, and images in a format that is not read are named in a ``SkippedWarning``.
    A file named outright is taken whatever its suffix.

    Args:
        where: a file, a folder (searched to the bottom), a pattern such as ``photos/*.jpg``, ``-``
            (a list on stdin), or several of these.

    Raises:
        ConfigError: nothing is there, or a list is given as if it were an image.
    """
    if not isinstance(where, str | Path):
        return [path for part in where for path in find_images(part)]

    listing = Listing(())
    if str(where) == "-":
        lines = (line.strip("\ufeff \t\r\n") for line in sys.stdin)
        listed = [Path(line) for line in lines if line]
        found = [
            path for each in listed for path in (find_images(each) if each.is_dir() else [each])
        ]
    elif Path(where).is_dir():
        found = image_files(Path(where), listing, recursive=True)
    elif Path(where).suffix.lower() in (".csv", ".txt") and not is_image_content(Path(where)):
        cure = f"a list of paths, one a line, is images=- < {where}"
        raise ConfigError(f"{where} is no image; {cure}")
    elif Path(where).exists() or not glob.has_magic(str(where)):
        found = [Path(where)]
    else:
        found = _matching(Path(where), listing)

    report_skipped(listing)
    problems = listing.problems
    if not found:
        cure = "give a file, a folder, a pattern such as 'photos/*.jpg', or - for a list"
        raise ConfigError(f"no images at {where}; {problems[0] if problems else cure}")
    if problems:
        warnings.warn("\n  ".join(map(str, problems)), SkippedWarning, stacklevel=2)
    return found


def _matching(pattern: Path, listing: Listing) -> list[Path]:
    """List the images that match a pattern; the folders before it may have brackets themselves."""
    folder = next(parent for parent in pattern.parents if parent.is_dir())
    inner = str(pattern.relative_to(folder))
    names = sorted(map(Path, glob.glob(inner, root_dir=folder, recursive=True)))

    found = []
    for name in names:
        path = folder / name
        if any(map(is_litter, name.parts)) or not path.is_file():
            continue
        if is_image_name(path.name):
            found.append(path)
        elif looks_like_an_image(path):
            listing.skipped.append(path)
    return found


def name_outputs(inputs: Sequence[Path], suffix: str) -> dict[Path, Path]:
    """Name a file after each input: ``cat.jpg.png`` after ``cat.jpg``, as a relative path.

    The outputs lie in folders as the inputs do below the folder that they have in common, so that
    none takes another's place.
    """
    places = {path: Path(os.path.abspath(path)) for path in inputs}
    common = os.path.commonpath([place.parent for place in places.values()])
    return {path: Path(f"{place.relative_to(common)}{suffix}") for path, place in places.items()}
