"""COCO's JSON, which names objects in images.

This is the only file that imports pycocotools.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from agnet_vision.errors import DatasetError, DatasetNotFoundError, extra_needed


def open_coco(path: Path) -> Any:
    """Open a file with the library's reader, which says nothing.

    Raises:
        DatasetError: it is not such a file.
    """
    with extra_needed("coco"):
        from pycocotools.coco import COCO
    if not path.is_file():
        raise DatasetNotFoundError(f"{path} does not exist; it must be a CSV, or COCO's JSON")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress
            return COCO(str(path))
    except (AssertionError, KeyError, OSError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO file: {error}") from error


def read_presence(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Read which categories each image shows, crowds included.

    Returns:
        The names of all categories, and by path of an image those of what it shows, sorted.

    Raises:
        DatasetError: it is not such a file, or an annotation names no image or no category of it.
    """
    coco = open_coco(path)
    try:
        names = {number: str(each["name"]) for number, each in coco.cats.items()}
        shown: dict[str, set[str]] = {str(each["file_name"]): set() for each in coco.imgs.values()}
        for each in coco.anns.values():
            image = coco.imgs[each["image_id"]]
            shown[str(image["file_name"])].add(names[each["category_id"]])
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{path}: an annotation lacks its image or category: {error}") from error
    if not names or not shown:
        raise DatasetError(f"{path} has {len(shown)} images and {len(names)} categories")
    return tuple(sorted(names.values())), {file: tuple(sorted(has)) for file, has in shown.items()}
