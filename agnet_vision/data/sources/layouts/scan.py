"""Look at folders: class folders and image files. Order never depends on the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agnet_vision.data.sources.listing import Listing
from agnet_vision.errors import DatasetError

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".avif",
    }
)


def is_image_name(name: str) -> bool:
    """Tell images by their suffix, and leave out hidden files (``._a.jpg`` of macOS, ``.DS_Store``)."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_unicode(name: str) -> bool:
    """Tell whether the bytes of a file name were valid UTF-8; the others could not be written to any result."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def class_folders(folder: Path) -> list[Path]:
    """List the visible folders inside ``folder``, by name.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        return sorted(
            p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")) and p.is_dir()
        )
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from error


def leads_back(folder: Path) -> bool:
    """Tell a link to a folder that holds the link: following it would count every picture again."""
    real, parent = os.path.realpath(folder), os.path.realpath(folder.parent)
    return os.path.commonpath([real, parent]) == real


def image_files(folder: Path, listing: Listing, *, recursive: bool = False) -> list[Path]:
    """List the images of a folder by name, following links but no loop of links.

    Args:
        folder: where to look; a missing one is recorded.
        listing: takes the problems.
        recursive: also look into folders inside it.
    """
    if not folder.is_dir():
        listing.report("missing_folder", folder, "this folder of the layout is missing")
        return []
    found = list(_walk(folder, listing, recursive, above=(os.path.realpath(folder),)))
    lower: dict[str, Path] = {}
    for path in found:
        twin = lower.setdefault(str(path).lower(), path)
        if twin != path:
            listing.report(
                "case_duplicate", path, f"differs from {twin.name} only by upper and lower case"
            )
    return found


def _walk(
    folder: Path, listing: Listing, recursive: bool, above: tuple[str, ...]
) -> Iterator[Path]:
    """Yield images in the order of their names; ``above`` holds the real folders on the way down."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        listing.report("missing_folder", folder, f"this folder cannot be read: {error.strerror}")
        return
    for entry in ordered:
        path = folder / entry.name
        try:
            is_folder = entry.is_dir()
        except OSError as error:  # a link to itself
            listing.report("symlink_loop", path, f"a link that leads nowhere: {error.strerror}")
            continue
        if is_folder and recursive and not entry.name.startswith("."):
            real = os.path.realpath(path)
            if any(
                os.path.commonpath([real, passed]) == real for passed in above
            ):  # one of them, or a folder around one
                listing.report("symlink_loop", path, f"a link back to {real}")
            else:
                yield from _walk(path, listing, recursive, (*above, real))
        elif is_image_name(entry.name) and not is_folder:
            if not is_unicode(entry.name):
                listing.report("bad_name", path, "its name is no valid UTF-8; left out, rename it")
            elif entry.is_symlink() and not path.exists():
                listing.report("missing_file", path, "a link to a file that does not exist")
            elif not entry.is_file():  # reading a pipe would wait for ever
                listing.report(
                    "undecodable", path, "no file but a pipe, a socket or a device; left out"
                )
            else:
                yield path
