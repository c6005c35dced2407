"""Any folder of images: ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import re
from collections.abc import Callable
from csv import DictReader
from pathlib import Path

from agnet_vision.data.layouts.lists import ListedFiles
from agnet_vision.data.layouts.scan import class_folders, image_files
from agnet_vision.data.listing import Listing, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read_folder(
    root: Path,
    classes: tuple[str, ...] = (),
    *,
    csv: str | Path | None = None,
    group_column: str | None = None,
    group_regex: str | None = None,
) -> Listing:
    """Read class folders, below split folders where there are any, or the files a CSV lists.

    Args:
        root: holds ``train``, ``val``, ``test`` folders, or the class folders themselves (then all is "train").
        classes: the label order, for a folder that must have it; empty: the folders by name.
        csv: a CSV with the columns ``path`` (inside the root), ``label`` (a class name) and, if wished, ``split``.
        group_column: column of the CSV that names who or what a picture is of.
        group_regex: the same, from the path inside the root: the expression's first group, or all it matches.
    """
    if csv is None and group_column is not None:
        raise ConfigError(
            f"dataset.group_column={group_column} needs dataset.csv=; without one use dataset.group_regex="
        )
    group_of = _group_finder(group_regex)
    if csv is not None:
        return _read_csv(root, Path(csv), group_column, group_of)
    found = {SPLIT_NAMES[f.name.lower()]: f for f in class_folders(root) if f.name.lower() in SPLIT_NAMES}
    split_folders: dict[str, Path] = {split: found[split] for split in ("train", "val", "test") if split in found}
    if "train" not in split_folders:
        split_folders = {"train": root}
    listing = Listing(())
    listing.classes = classes or _class_names(split_folders, listing)
    for split, split_folder in split_folders.items():
        samples = listing.splits[split] = []
        for label, name in enumerate(listing.classes):
            folder = split_folder / name
            paths = image_files(folder, listing, recursive=True) if folder.is_dir() else []
            samples += [Sample(path, label, group_of(path.relative_to(root).as_posix())) for path in paths]
    return listing


def _class_names(split_folders: dict[str, Path], listing: Listing) -> tuple[str, ...]:
    """Name the classes by the training folders; record folders the training split does not know."""
    names = tuple(folder.name for folder in class_folders(split_folders["train"]))
    lower: dict[str, str] = {}
    for name in names:
        twin = lower.setdefault(name.lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by upper and lower case"
            listing.report("class_duplicate", split_folders["train"] / name, detail)
    for split in sorted(split_folders.keys() - {"train"}):
        for folder in class_folders(split_folders[split]):
            if folder.name not in names:
                listing.report("unknown_class", folder, "there is no such class in the training folder")
    return names


def _read_csv(root: Path, path: Path, group_column: str | None, group_of: Callable[[str], str | None]) -> Listing:
    """Read a CSV; its class names, sorted, give the label order."""
    if not path.is_file():
        raise DatasetNotFoundError(f"dataset.csv={path} does not exist; give a CSV with the columns path,label[,split]")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = DictReader(stream)
        columns = list(reader.fieldnames or ())
        rows = list(reader)
    missing = [name for name in ("path", "label", group_column) if name is not None and name not in columns]
    if missing:
        raise DatasetError(f"{path} has the columns {', '.join(columns) or 'none'}; missing: {', '.join(missing)}")
    names = tuple(sorted({row["label"] for row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    listing = Listing(names, {"train": []})
    files, seen = ListedFiles(listing), set[str]()
    for number, row in enumerate(rows, start=2):
        split = SPLIT_NAMES.get((row.get("split") or "train").lower())
        if split is None:
            raise DatasetError(f"{path}, line {number}: split {row['split']!r} is none of train, val, test")
        if row["path"] in seen:
            listing.report("wrong_list", path, f"line {number}: {row['path']} is listed a second time")
            continue
        seen.add(row["path"])
        group = row[group_column] if group_column else group_of(row["path"])
        files.add(split, root / row["path"], labels[row["label"]], list_name=path.name, group=group)
    return listing


def _group_finder(pattern: str | None) -> Callable[[str], str | None]:
    """Make the function that reads a group from a path; without a pattern there are no groups."""
    if pattern is None:
        return lambda path: None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"dataset.group_regex={pattern} is not a regular expression: {error}") from error

    def group_of(path: str) -> str:
        match = expression.search(path)
        if match is None:
            raise ConfigError(f"dataset.group_regex={pattern} finds nothing in {path}")
        return match.group(1) if expression.groups else match.group(0)

    return group_of
