"""Class folders and images on disk, always found in the same order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
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

# What this library writes beside images.
RUN_FILES = frozenset({".lock", "config.yaml", "run.json", "metrics.json", "predictions.csv"})
EXPORT_SUFFIXES = frozenset({".onnx", ".pt2", ".ckpt", ".safetensors"})

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


def own_folders(folder: Path) -> list[Path]:
    """List the visible folders inside ``folder`` but for those that this library wrote."""
    return [inner for inner in class_folders(folder) if not _is_ours(inner)]


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder holds runs, exports or figures, and no other images."""
    found = False
    for place, inner, names in os.walk(folder):
        if len(RUN_FILES.intersection(names)) > 1:
            found = True
            inner.clear()
            continue

        images = [Path(place, name) for name in names if is_image_name(name)]
        are_figures = all(map(_is_figure, images))
        if not are_figures and folder.name != "outputs":
            return False
        is_written = ".lock" in names or any(Path(name).suffix in EXPORT_SUFFIXES for name in names)
        found = found or is_written or (are_figures and bool(images))
    return found


def _is_figure(path: Path) -> bool:
    """Tell whether ``agnet predict`` drew an image: ``cat.jpg.png``, by Matplotlib."""
    if path.suffix != ".png" or Path(path.stem).suffix.lower() not in READ_SUFFIXES:
        return False
    with path.open("rb") as file:
        return b"Matplotlib" in file.read(512)


def holds_images(folder: Path) -> bool:
    """Tell whether images lie in ``folder``, at any depth."""
    for _, inner, names in os.walk(folder):
        if any(is_image_name(name) for name in names):
            return True
        inner[:] = [name for name in inner if not is_litter(name)]
    return False


def leads_back(folder: Path) -> bool:
    """Tell whether ``folder`` is a link to a folder around it, which would repeat every image."""
    real, parent = os.path.realpath(folder), os.path.realpath(folder.parent)
    return os.path.commonpath([real, parent]) == real


def image_files(folder: Path, listing: Listing, *, recursive: bool = False) -> list[Path]:
    """List the images of a folder by name, following links without loops.

    Args:
        folder: folder to search.
        listing: listing that takes the problems, of the folder, too.
        recursive: whether folders inside it are searched as well.
    """
    return list(_walk(folder, listing, recursive, above=(os.path.realpath(folder),)))


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
        elif is_folder:
            continue
        elif not is_image_name(entry.name):
            if looks_like_an_image(path):
                listing.skipped.append(path)
        elif not is_unicode(entry.name):
            listing.report("bad_name", path, "its name is not valid UTF-8; left out, rename it")
        elif not entry.is_file():  # reading a pipe would wait for ever
            listing.report("missing_file", path, "a link that leads nowhere, or a pipe; left out")
        else:
            yield path


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
