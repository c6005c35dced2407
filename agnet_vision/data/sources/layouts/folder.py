"""Any folder of images, ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from unicodedata import normalize

from agnet_vision.data.image import is_image_name
from agnet_vision.data.sources.layouts.lists import (
    ListedFiles,
    read_rows,
    report_unused_columns,
)
from agnet_vision.data.sources.layouts.ours import own_folders
from agnet_vision.data.sources.layouts.scan import (
    class_folders,
    has_images,
    holds_images,
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
# Words in the names of folders that are parts of a dataset, too, but of which kind is not certain.
LIKE_A_SPLIT = {**SPLIT_NAMES, "testing": "test", "pred": "test", "holdout": "test"} | {
    "eval": "val",
    "evaluation": "val",
    "dev": "val",
}
# Parts of a dataset in which images lie apart from what is said of them.
LIKE_A_PART = {"images", "imgs", "annotation", "annotations", "labels", "masks"}


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
        classes: classes of a network, in label order, that is to be scored on the images: then
            any class may lack images, and there may be no train; by default the folders by name.
        csv: a CSV with the columns ``path`` (inside the root), ``label`` (a class name) and, if
            wished, ``split``.
        group_column: column of the CSV that names who or what an image shows.
    """
    if csv is not None:
        return _read_csv(root, Path(csv).expanduser(), group_column, classes)
    if group_column is not None:
        raise ConfigError(f"group_column={group_column} needs a csv; without one use group_regex")

    listing = Listing(())
    parts = _find_parts(root, listing, needs_train=not classes)
    listing.is_divided = root not in parts.values()
    listing.classes = classes or _class_names(parts["train"], listing)
    _report_unknown_classes(parts, listing, is_given=bool(classes))

    for split, part in parts.items():
        samples = listing.splits[split] = []
        spelled = {normalize("NFC", folder.name): folder for folder in class_folders(part)}
        for label, name in enumerate(listing.classes):
            folder = part / name
            if not folder.is_dir():
                folder = spelled.get(normalize("NFC", name), folder)
            listing.folders[split, name] = folder
            paths = image_files(folder, listing, recursive=True) if folder.is_dir() else []
            samples += [Sample(path, label) for path in paths]
        _report_loose_images(part, listing)

    if not listing.is_divided and not classes:
        _report_folders_in_classes(root, listing)
    return listing


def _find_parts(root: Path, listing: Listing, *, needs_train: bool) -> dict[str, Path]:
    """Find the folders of the splits; where there are none, all is train.

    Folders with images that are not read become problems.
    """
    folders = own_folders(root)
    inner = {folder: {each.name for each in class_folders(folder)} for folder in folders}
    found: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None or not inner[folder]:  # a class may be called train, too
            continue
        if split in found:
            raise DatasetError(
                f"{found[split]} and {folder} are both the {split} split; keep one of them"
            )
        found[split] = folder

    others = [f for f in folders if f not in found.values() and holds_images(f)]
    if len(found) == 1:
        (part,) = found.values()
        classes = [f for f in others if not _kind_of_part(f) and not inner[f] & inner[part]]
        if len(classes) > 1 or (classes and has_images(part)):
            listing.report(
                "skipped",
                part,
                f"taken for a class, since {_shown(classes)} beside it look like classes; if it is "
                "a split, move them away",
            )
            found = {}

    if not found:
        _refuse_parts_as_classes(root, folders)
        return {"train": root}

    if needs_train and "train" not in found:
        names = " and ".join(folder.name for folder in found.values())
        raise DatasetError(
            f"{root} holds {names}, but no folder train with class folders inside; "
            "add it, or rename what is no split"
        )
    for folder in others:
        detail = (
            f"holds images, but is not read: a split is a folder {', '.join(SPLIT_NAMES)} with a "
            f"folder per class inside; where {_shown(found.values())} is a class, lay all classes "
            "into one folder train"
        )
        listing.report("skipped", folder, detail)
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _kind_of_part(folder: Path) -> str | None:
    """Tell which split a folder may be, by a word in its name."""
    words = re.findall(r"[a-z]+", folder.name.lower())
    return next((LIKE_A_SPLIT[word] for word in words if word in LIKE_A_SPLIT), None)


def _refuse_parts_as_classes(root: Path, folders: list[Path]) -> None:
    """Refuse class folders whose names are those of the parts of a dataset."""
    kinds = {folder: kind for folder in folders if (kind := _kind_of_part(folder))}
    if "train" in kinds.values() and len(set(kinds.values())) > 1:
        raise DatasetError(
            f"{root} would have the classes {_shown(kinds)}, which look like the splits of a "
            "dataset; lay it out as train/<class>/*.jpg and test/<class>/*.jpg, or give the folder "
            f"that holds the class folders, dataset.root={next(iter(kinds))} for one"
        )
    parts = [folder for folder in folders if folder.name.lower() in LIKE_A_PART]
    if len(parts) > 1:
        raise DatasetError(
            f"{root} would have the classes {_shown(parts)}, which look like parts of a dataset; "
            "give the folder that holds the class folders, or list images and classes in "
            "dataset.csv="
        )


def _report_folders_in_classes(root: Path, listing: Listing) -> None:
    """Record what shows that the root is one level too high: class folders that hold the same."""
    holders: dict[str, set[str]] = defaultdict(set)
    for sample in listing.splits["train"]:
        name, inner, *deeper = sample.path.relative_to(root).parts
        if deeper:
            holders[inner].add(name)

    shared = sorted(name for name, found in holders.items() if len(found) > 1 or name in found)
    if shared:
        classes = sorted(set().union(*(holders[name] for name in shared)))
        detail = (
            f"the classes are {_shown(classes)}, in which lie folders {_shown(shared)}; if these "
            f"are the classes, the root is one level too high: dataset.root={root / classes[0]}"
        )
        listing.report("same_folders", root, detail)


def _shown(folders: Collection[Path | str], number: int = 4) -> str:
    """Show the first names, and count the rest."""
    names = [Path(folder).name for folder in folders]
    more = len(names) - number
    return " and ".join(names[:number]) + (f" and {more:,} more" if more > 0 else "")


def _report_loose_images(folder: Path, listing: Listing) -> None:
    """Record images beside the class folders, which have no label."""
    loose = sorted(path for path in folder.iterdir() if is_image_name(path.name) and path.is_file())
    if loose:
        detail = f"{len(loose):,} images lie outside the class folders and are skipped"
        listing.report("skipped", folder, f"{detail}, first {loose[0].name}; move or delete them")


def _class_names(train: Path, listing: Listing) -> tuple[str, ...]:
    """Name the classes by the training folders."""
    for path in sorted(train.iterdir()):
        if path.is_symlink() and (not path.exists() or leads_back(path)):
            detail = "a link that leads nowhere, or back to a folder around it; left out"
            listing.report("symlink_loop", path, detail)

    names = tuple(folder.name for folder in own_folders(train) if not leads_back(folder))
    if unreadable := [name for name in names if not is_unicode(name)]:
        shown = str(train / unreadable[0]).encode("utf-8", "backslashreplace").decode()
        raise DatasetError(f"{shown}: the name of this class is not valid UTF-8; rename the folder")

    lower: dict[str, str] = {}
    for name in names:
        twin = lower.setdefault(name.lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by upper and lower case"
            listing.report("class_duplicate", train / name, detail)
    return names


def _report_unknown_classes(parts: dict[str, Path], listing: Listing, *, is_given: bool) -> None:
    """Record folders with images that are of none of the classes."""
    known = {normalize("NFC", name) for name in listing.classes}
    for split, part in parts.items():
        if split == "train" and not is_given:
            continue
        for folder in own_folders(part):
            if normalize("NFC", folder.name) not in known and holds_images(folder):
                detail = "there is no such class in the training folder"
                if is_given:
                    detail = f"the network has no such class; it has {_shown(listing.classes)}"
                listing.report("unknown_class", folder, detail)


def _read_csv(
    root: Path, path: Path, group_column: str | None, classes: tuple[str, ...]
) -> Listing:
    """Read the files that a CSV lists; labels follow the sorted names of the classes."""
    if not path.is_file():
        raise DatasetNotFoundError(
            f"csv={path} does not exist; give a CSV with the columns path,label[,split]"
        )

    columns = ("path", "label") if group_column is None else ("path", "label", group_column)
    rows = read_rows(path, columns, optional=("split",))
    names = classes or tuple(sorted({normalize("NFC", row["label"]) for _, row in rows}))
    labels = {normalize("NFC", name): label for label, name in enumerate(names)}

    listing = Listing(names, {} if classes else {"train": []})
    listing.is_divided = any(row.get("split") for _, row in rows)
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

        label = labels.get(normalize("NFC", row["label"]))
        if label is None:
            detail = f"line {number}: the network has no class {row['label']!r}"
            listing.report("unknown_class", path, f"{detail}; it has {_shown(names)}")
            continue
        group = row[group_column] if group_column else None
        files.add(split, found or image, label, list_name=path.name, group=group)

    missing = [problem.path for problem in listing.problems if problem.kind == "missing_file"]
    if missing and len(missing) == len(seen):
        raise DatasetError(
            f"{path}: {len(missing):,} of {len(seen):,} listed files are not on disk, first: "
            f"{missing[0]}; paths start inside dataset.root, with upper and lower case as on disk"
        )
    return listing
