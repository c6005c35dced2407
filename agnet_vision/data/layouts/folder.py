"""Any folder of images: ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from agnet_vision.data.layouts.scan import FolderIndex, class_folders, image_files
from agnet_vision.data.listing import Listing, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read_folder(root: Path, *, group_regex: str | None = None) -> Listing:
    """Read class folders, below split folders where there are any.

    Args:
        root: holds ``train``, ``val``, ``test`` folders, or the class folders themselves (then all is "train").
        group_regex: matched against the path inside the root; its first group, or all it matches, names who a picture is of.
    """
    group_of = _group_finder(group_regex)
    folders = class_folders(root)
    split_folders = {SPLIT_NAMES[f.name.lower()]: f for f in folders if f.name.lower() in SPLIT_NAMES}
    if "train" not in split_folders:
        split_folders = {"train": root}
    listing = Listing(())
    listing.classes = _classes(split_folders, listing)
    for split, split_folder in split_folders.items():
        samples = listing.splits[split] = []
        for label, name in enumerate(listing.classes):
            class_folder = split_folder / name
            paths = image_files(class_folder, listing, recursive=True) if class_folder.is_dir() else []
            samples += [Sample(p, label, group_of(p.relative_to(root).as_posix())) for p in paths]
    return listing


def _classes(split_folders: dict[str, Path], listing: Listing) -> tuple[str, ...]:
    """Name the classes by the training folders; record folders the training split does not know."""
    classes = tuple(folder.name for folder in class_folders(split_folders["train"]))
    lower: dict[str, str] = {}
    for name in classes:
        twin = lower.setdefault(name.lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by upper and lower case"
            listing.report("case_duplicate", split_folders["train"] / name, detail)
    for split in split_folders.keys() - {"train"}:
        for folder in class_folders(split_folders[split]):
            if folder.name not in classes:
                listing.report("extra_class", folder, "there is no such class in the training folder")
    return classes


def read_csv(root: Path, csv_path: Path, *, group_column: str | None = None, group_regex: str | None = None) -> Listing:
    """Read a CSV with the columns ``path``, ``label`` and, if wished, ``split`` and a group column.

    Args:
        root: what relative paths are relative to.
        csv_path: the CSV; labels are class names, sorted to give the label order.
        group_column: column that names who or what a picture is of.
        group_regex: the same, taken from the path (see ``read_folder``).
    """
    if not csv_path.is_file():
        raise DatasetNotFoundError(
            f"dataset.csv={csv_path} does not exist; give the path of a CSV with path,label[,split]"
        )
    with csv_path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _check_columns(csv_path, reader.fieldnames or (), group_column)
        rows = list(reader)
    group_of = _group_finder(group_regex)
    classes = tuple(sorted({row["label"] for row in rows}))
    labels = {name: label for label, name in enumerate(classes)}
    listing, index, seen = Listing(classes, {"train": []}), FolderIndex(), set()
    for number, row in enumerate(rows, start=2):
        path = root / row["path"]
        split = SPLIT_NAMES.get((row.get("split") or "train").lower())
        if split is None:
            raise DatasetError(f"{csv_path}, line {number}: split {row['split']!r} is none of train, val, test")
        if path in seen:
            listing.report("overlap", path, f"listed twice in {csv_path} (line {number})")
        elif not index.has(path):
            listing.report("missing_file", path, f"listed in {csv_path} (line {number}), not on disk")
        else:
            group = row[group_column] if group_column else group_of(row["path"])
            listing.splits.setdefault(split, []).append(Sample(path, labels[row["label"]], group))
        seen.add(path)
    return listing


def _check_columns(csv_path: Path, columns: tuple[str, ...] | list[str], group_column: str | None) -> None:
    """Refuse a CSV without the columns that are needed."""
    wanted = ["path", "label", *([group_column] if group_column else [])]
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise DatasetError(f"{csv_path} has the columns {', '.join(columns) or 'none'}; missing: {', '.join(missing)}")


class _group_finder:  # noqa: N801 (a function with state)
    """Find the group in a path by a regular expression; None without one."""

    def __init__(self, pattern: str | None) -> None:
        try:
            self.pattern = re.compile(pattern) if pattern else None
        except re.error as error:
            raise ConfigError(f"dataset.group_regex={pattern} is not a regular expression: {error}") from error

    def __call__(self, path: str) -> str | None:
        if self.pattern is None:
            return None
        match = self.pattern.search(path)
        if match is None:
            raise ConfigError(f"dataset.group_regex={self.pattern.pattern} finds nothing in {path}")
        return match.group(1) if self.pattern.groups else match.group(0)
