"""Any folder of images: ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_rows
from agnet_vision.data.sources.layouts.scan import (
    class_folders,
    image_files,
    is_unicode,
    leads_back,
)
from agnet_vision.data.sources.listing import Listing, Sample
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
        listing = _read_csv(root, Path(csv).expanduser(), group_column, group_of)
        _report_divided_groups(root, listing)
        return listing
    split_folders = _split_folders(root)
    listing = Listing(())
    listing.classes = classes or _class_names(split_folders, listing)
    for split, split_folder in split_folders.items():
        samples = listing.splits[split] = []
        for label, name in enumerate(listing.classes):
            folder = listing.folders[split, name] = split_folder / name
            paths = image_files(folder, listing, recursive=True) if folder.is_dir() else []
            samples += [
                Sample(path, label, group_of(path.relative_to(root).as_posix())) for path in paths
            ]
    _report_divided_groups(root, listing)
    return listing


def _split_folders(root: Path) -> dict[str, Path]:
    """Find the folders that are named like a split and hold class folders; where there is none, the root is all train."""
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
            f"{root} holds {names}, but no folder train with class folders inside; add it, or rename what is no split"
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found} or {
        "train": root
    }


def _report_divided_groups(root: Path, listing: Listing) -> None:
    """Record groups that a given split has on both sides; splits made by seed never divide one."""
    first: dict[str, str] = {}
    divided: dict[tuple[str, str, str], int] = defaultdict(int)
    for split, samples in listing.splits.items():
        for group in (sample.group for sample in samples if sample.group is not None):
            if first.setdefault(group, split) != split:
                divided[group, first[group], split] += 1
    for (group, first_split, split), number in divided.items():
        listing.report(
            "group_overlap",
            root,
            f"the group {group} is in {first_split}, and {number:,} times in {split}",
        )


def _class_names(split_folders: dict[str, Path], listing: Listing) -> tuple[str, ...]:
    """Name the classes by the training folders; record folders the training split does not know."""
    train = split_folders["train"]
    for path in sorted(train.iterdir()):
        if path.is_symlink() and (not path.exists() or leads_back(path)):
            listing.report(
                "symlink_loop",
                path,
                "a link that leads nowhere, or back to a folder around it; left out",
            )
    names = tuple(folder.name for folder in class_folders(train) if not leads_back(folder))
    if unreadable := [name for name in names if not is_unicode(name)]:
        shown = str(train / unreadable[0]).encode("utf-8", "backslashreplace").decode()
        raise DatasetError(f"{shown}: the name of this class is no valid UTF-8; rename the folder")
    lower: dict[str, str] = {}
    for name in names:
        twin = lower.setdefault(name.lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by upper and lower case"
            listing.report("class_duplicate", train / name, detail)
    for split in sorted(split_folders.keys() - {"train"}):
        for folder in class_folders(split_folders[split]):
            if folder.name not in names:
                listing.report(
                    "unknown_class", folder, "there is no such class in the training folder"
                )
    return names


def _read_csv(
    root: Path, path: Path, group_column: str | None, group_of: Callable[[str], str | None]
) -> Listing:
    """Read a CSV; its class names, sorted, give the label order."""
    if not path.is_file():
        raise DatasetNotFoundError(
            f"dataset.csv={path} does not exist; give a CSV with the columns path,label[,split]"
        )
    rows = read_rows(
        path, ("path", "label") if group_column is None else ("path", "label", group_column)
    )
    names = tuple(sorted({row["label"] for _, row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    listing = Listing(names, {"train": []})
    files, seen = ListedFiles(listing), set[str]()
    for number, row in rows:
        split = SPLIT_NAMES.get((row.get("split") or "train").lower())
        if split is None:
            raise DatasetError(
                f"{path}, line {number}: split {row['split']!r} is none of train, val, test"
            )
        spelled = os.path.normpath(row["path"])
        if spelled in seen:
            listing.report(
                "wrong_list", path, f"line {number}: {row['path']} is listed a second time"
            )
            continue
        seen.add(spelled)
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
        raise ConfigError(
            f"dataset.group_regex={pattern} is not a regular expression: {error}"
        ) from error

    def group_of(path: str) -> str:
        """Read the group from a path inside the root."""
        match = expression.search(path)
        if match is None:
            raise ConfigError(f"dataset.group_regex={pattern} finds nothing in {path}")
        return match.group(1) if expression.groups else match.group(0)

    return group_of
