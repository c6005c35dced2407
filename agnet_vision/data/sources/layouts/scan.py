"""Class folders and images on disk, always found in the same order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from agnet_vision.data.image import READ_SUFFIXES, is_image_content, is_image_name
from agnet_vision.data.sources.listing import Listing
from agnet_vision.errors import DatasetError

# Images by their name, but in a format that is not read.
OTHER_IMAGE_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".tga", ".psd", ".svg", ".eps"}
    | {".ico", ".pcx", ".exr", ".hdr", ".dcm"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"}
)

# Folders in which operating systems and disk stations keep thumbnails, metadata and deleted files.
LITTER = frozenset(
    {"@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "lost+found"}
    | {"recycler", "system volume information"}
)


def is_litter(name: str) -> bool:
    """Tell a folder that never holds a user's images by its name: hidden, or a system's own."""
    return name.startswith((".", "__MACOSX")) or name.casefold() in LITTER


def is_unicode(name: str) -> bool:
    """Tell whether a file name is valid UTF-8, so that tables and reports can hold it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def class_folders(folder: Path) -> list[Path]:
    """List the visible folders inside ``folder``, by name.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if not is_litter(p.name) and p.is_dir())
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from error


def has_images(folder: Path) -> bool:
    """Tell whether images lie in ``folder`` itself."""
    return any(is_image_name(name) for name in os.listdir(folder))


def holds_images(folder: Path) -> bool:
    """Tell whether images lie in ``folder``, at any depth."""
    for _, inner, names in os.walk(folder):
        if any(is_image_name(name) for name in names):
            return True
        inner[:] = [name for name in inner if not is_litter(name)]
    return False


def report_extra_folders(parent: Path, known: Collection[str], listing: Listing) -> None:
    """Record the folders inside ``parent`` that are none of the ``known`` classes."""
    for folder in class_folders(parent) if parent.is_dir() else []:
        if folder.name not in known:
            listing.report("extra_class", folder, "no such class in the card; it is left out")


def leads_back(folder: Path) -> bool:
    """Tell whether ``folder`` is a link to a folder around it, which would repeat every image."""
    real, parent = os.path.realpath(folder), os.path.realpath(folder.parent)
    return os.path.commonpath([real, parent]) == real


def image_files(folder: Path, listing: Listing, *, recursive: bool = False) -> list[Path]:
    """List the images of a folder by name, following links without loops.

    Args:
        folder: folder to search; a missing one is recorded.
        listing: listing that takes the problems.
        recursive: whether folders inside it are searched as well.
    """
    if not folder.is_dir():
        listing.report("missing_folder", folder, "this folder of the layout is missing")
        return []

    found = list(_walk(folder, listing, recursive, above=(os.path.realpath(folder),)))

    lower: dict[str, Path] = {}
    for path in found:
        twin = lower.setdefault(str(path).lower(), path)
        if twin != path:
            detail = f"differs from {twin.name} only by upper and lower case"
            listing.report("case_duplicate", path, detail)
    return found


def _walk(
    folder: Path, listing: Listing, recursive: bool, above: tuple[str, ...]
) -> Iterator[Path]:
    """Yield images by name; ``above`` are the real folders on the way here, to tell loops."""
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

        if is_folder and recursive and not is_litter(entry.name):
            real = os.path.realpath(path)
            # One of the folders passed, or a folder around one.
            if any(os.path.commonpath([real, passed]) == real for passed in above):
                listing.report("symlink_loop", path, f"a link back to {real}")
            else:
                yield from _walk(path, listing, recursive, (*above, real))
        elif is_image_name(entry.name) and not is_folder:
            if _is_usable(entry, path, listing):
                yield path
        elif not is_folder and looks_like_an_image(path):
            listing.skipped.append(path)


def _is_usable(entry: os.DirEntry[str], path: Path, listing: Listing) -> bool:
    """Tell whether a file can be listed, and record why not."""
    if not is_unicode(entry.name):
        listing.report("bad_name", path, "its name is not valid UTF-8; left out, rename it")
    elif entry.is_symlink() and not path.exists():
        listing.report("missing_file", path, "a link to a file that does not exist")
    elif not entry.is_file():  # reading a pipe would wait for ever
        detail = "not a file but a pipe, a socket or a device; left out"
        listing.report("undecodable", path, detail)
    else:
        return True
    return False


def looks_like_an_image(path: Path) -> bool:
    """Tell whether a file that is not read looks like an image."""
    if path.name.startswith(".") or not is_unicode(path.name):
        return False
    suffix = path.suffix.lower()
    if suffix == "":
        return path.is_file() and is_image_content(path)
    return suffix in OTHER_IMAGE_SUFFIXES


def report_skipped(listing: Listing) -> None:
    """Record in one problem the files that look like images but are not read."""
    if not listing.skipped:
        return
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in listing.skipped)
    kinds = ", ".join(f"{count:,} with {suffix}" for suffix, count in suffixes.most_common())
    listing.report(
        "skipped",
        listing.skipped[0],
        f"skipped, as are {len(listing.skipped):,} files in all ({kinds}): convert them to JPEG or "
        f"PNG, or name them by one of {', '.join(sorted(READ_SUFFIXES))}",
    )
