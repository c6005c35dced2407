"""Any folder of images, ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import normalize

from agnet_vision.data.image import is_image_name
from agnet_vision.data.sources.layouts.lists import (
    ListedFiles,
    read_rows,
    report_unused_columns,
)
from agnet_vision.data.sources.layouts.scan import (
    class_folders,
    image_files,
    is_unicode,
    leads_back,
)
from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.data.sources.split_list import COLUMNS
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def read_folder(
    root: Path,
    classes: tuple[str, ...] = (),
    *,
    csv: str | Path | None = None,
    group_column: str | None = None,
) -> Listing:
    """Read the images in class folders, split or not, or those that a CSV lists.

    Args:
        root: folder that holds ``train``, ``val`` and ``test``, or the class folders themselves
            (then all is "train").
        classes: classes in label order, for a folder that must have them; by default the folders
            by name.
        csv: a CSV with the columns ``path`` (inside the root), ``label`` (a class name) and, if
            wished, ``split``.
        group_column: column of the CSV that names who or what an image shows.
    """
    if csv is not None:
        return _read_csv(root, Path(csv).expanduser(), group_column)
    if group_column is not None:
        raise ConfigError(f"group_column={group_column} needs a csv; without one use group_regex")

    split_folders = _split_folders(root)
    listing = Listing(())
    listing.classes = classes or _class_names(split_folders, listing)

    for split, split_folder in split_folders.items():
        samples = listing.splits[split] = []
        for label, name in enumerate(listing.classes):
            folder = listing.folders[split, name] = split_folder / name
            paths = image_files(folder, listing, recursive=True) if folder.is_dir() else []
            samples += [Sample(path, label) for path in paths]
        _report_loose_images(split_folder, listing)
    return listing


def _split_folders(root: Path) -> dict[str, Path]:
    """Find the folders of the splits; where there are none, all is train."""
    found: dict[str, Path] = {}
    for folder in class_folders(root):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None or not class_folders(folder):  # a class may be called train, too
            continue
        if split in found:
            raise DatasetError(
                f"{found[split]} and {folder} are both the {split} split; keep one of them"
            )
        found[split] = folder

    if found and "train" not in found:
        names = " and ".join(folder.name for folder in found.values())
        raise DatasetError(
            f"{root} holds {names}, but no folder train with class folders inside; "
            "add it, or rename what is no split"
        )

    if not found:
        return {"train": root}
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _report_loose_images(folder: Path, listing: Listing) -> None:
    """Record images beside the class folders, which have no label."""
    loose = sorted(path for path in folder.iterdir() if is_image_name(path.name) and path.is_file())
    if loose:
        detail = f"{len(loose):,} images lie outside the class folders and are skipped"
        listing.report("skipped", folder, f"{detail}, first {loose[0].name}; move or delete them")


def _class_names(split_folders: dict[str, Path], listing: Listing) -> tuple[str, ...]:
    """Name the classes by the training folders, and record folders of other classes."""
    train = split_folders["train"]
    for path in sorted(train.iterdir()):
        if path.is_symlink() and (not path.exists() or leads_back(path)):
            detail = "a link that leads nowhere, or back to a folder around it; left out"
            listing.report("symlink_loop", path, detail)

    names = tuple(folder.name for folder in class_folders(train) if not leads_back(folder))
    if unreadable := [name for name in names if not is_unicode(name)]:
        shown = str(train / unreadable[0]).encode("utf-8", "backslashreplace").decode()
        raise DatasetError(f"{shown}: the name of this class is not valid UTF-8; rename the folder")

    lower: dict[str, str] = {}
    for name in names:
        twin = lower.setdefault(name.lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by upper and lower case"
            listing.report("class_duplicate", train / name, detail)

    for split in sorted(split_folders.keys() - {"train"}):
        for folder in class_folders(split_folders[split]):
            if folder.name not in names:
                detail = "there is no such class in the training folder"
                listing.report("unknown_class", folder, detail)
    return names


def _read_csv(root: Path, path: Path, group_column: str | None) -> Listing:
    """Read the files that a CSV lists; labels follow the sorted names of the classes."""
    if not path.is_file():
        raise DatasetNotFoundError(
            f"csv={path} does not exist; give a CSV with the columns path,label[,split]"
        )

    columns = ("path", "label") if group_column is None else ("path", "label", group_column)
    rows = read_rows(path, columns, optional=("split",))
    names = tuple(sorted({normalize("NFC", row["label"]) for _, row in rows}))
    labels = {name: label for label, name in enumerate(names)}

    listing = Listing(names, {"train": []})
    is_split_list = rows and tuple(rows[0][1]) == COLUMNS  # its groups have made its splits
    used = COLUMNS if is_split_list else (*columns, "split")
    report_unused_columns(path, rows, used, listing)
    files, seen = ListedFiles(listing), set[str]()
    for number, row in rows:
        split = SPLIT_NAMES.get((row.get("split") or "train").lower())
        if split is None:
            raise DatasetError(
                f"{path}, line {number}: split {row['split']!r} must be train, val or test"
            )

        image = root / row["path"]
        found = files.find(image) or files.find(root / row["path"].replace("\\", "/"))
        spelled = os.path.normpath(found or image)
        if spelled in seen:
            detail = f"line {number}: {row['path']} is listed a second time"
            listing.report("wrong_list", path, detail)
            continue
        seen.add(spelled)

        group = row[group_column] if group_column else None
        label = labels[normalize("NFC", row["label"])]
        files.add(split, found or image, label, list_name=path.name, group=group)

    missing = [problem.path for problem in listing.problems if problem.kind == "missing_file"]
    if missing and len(missing) == len(seen):
        raise DatasetError(
            f"{path}: {len(missing):,} of {len(seen):,} listed files are not on disk, first: "
            f"{missing[0]}; paths start inside dataset.root, with upper and lower case as on disk"
        )
    return listing
