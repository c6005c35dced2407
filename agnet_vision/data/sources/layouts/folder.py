"""Any folder of images, ``<split>/<class>/*`` or ``<class>/*``, or a CSV that lists them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from agnet_vision.data.image import is_image_name
from agnet_vision.data.sources.layouts.scan import (
    class_folders,
    holds_images,
    image_files,
    is_unicode,
    leads_back,
    own_folders,
)
from agnet_vision.data.sources.layouts.table import read_table
from agnet_vision.data.sources.listing import SPLIT_NAMES, SPLITS, Listing, Sample, name_some
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.task import SEPARATOR

# Words in the names of folders that may be a split, too.
LIKE_A_SPLIT = (
    SPLIT_NAMES
    | dict.fromkeys(("testing", "pred", "holdout"), "test")
    | dict.fromkeys(("eval", "evaluation", "dev"), "val")
)
# Parts of a dataset in which images lie apart from what is said of them.
LIKE_A_PART = {"images", "imgs", "annotation", "annotations", "labels", "masks"}


def read_folder(
    root: Path,
    classes: tuple[str, ...] = (),
    *,
    csv: str | Path | None = None,
    group_column: str | None = None,
    label_columns: Sequence[str] = (),
    label_separator: str = SEPARATOR,
) -> Listing:
    """Read the images in class folders, split or not, or those that a CSV lists.

    Args:
        root: folder that holds ``train``, ``val`` and ``test``, or the class folders themselves
            (then all is "train").
        classes: classes of a network, in label order, that is to be scored on the images: then
            any class may lack images, and there may be no train; by default the folders by name.
        csv: a CSV with the columns ``path`` (inside the root), ``label`` (a class name) or
            ``labels`` (several) and, if wished, ``split``; or COCO's ``.json``, whose categories
            are labels.
        group_column: column of the CSV that names who or what an image shows.
        label_columns: columns of the CSV with a label each, instead of ``label`` or ``labels``.
        label_separator: what parts the names in ``labels``.
    """
    if csv is not None:
        return read_table(
            root,
            Path(csv).expanduser(),
            group_column,
            classes,
            label_columns=label_columns,
            separator=label_separator,
        )
    if group_column is not None:
        raise ConfigError(f"group_column={group_column} needs a csv; without one use group_regex")
    if label_columns:
        raise ConfigError(f"label_columns={name_some(label_columns)} needs a csv")

    listing = Listing(())
    parts = _find_parts(root, listing, needs_train=not classes)
    listing.is_divided = root not in parts.values()
    listing.classes = classes or _class_names(parts["train"], listing)

    for split, part in parts.items():
        samples = listing.splits[split] = []
        folders = {normalize("NFC", folder.name): folder for folder in class_folders(part)}
        for label, name in enumerate(listing.classes):
            folder = folders.get(normalize("NFC", name))
            if folder is not None:
                paths = image_files(folder, listing, recursive=True)
                samples += [Sample(path, label) for path in paths]
        _report_unknown_classes(part, listing)
        _report_loose_images(part, listing)

    if not listing.is_divided and not classes:
        _report_folders_in_classes(root, listing)
    return listing


def _find_parts(root: Path, listing: Listing, *, needs_train: bool) -> dict[str, Path]:
    """Find the folders of the splits; where there are none, all is train."""
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
        classes = [f.name for f in others if not _like_a_split(f) and not inner[f] & inner[part]]
        if len(classes) > 1 or (classes and any(map(is_image_name, os.listdir(part)))):
            detail = (
                f"taken for a class, since {name_some(classes)} beside it look like classes; "
                "if it is a split, move them away"
            )
            listing.report("skipped", part, detail)
            found = {}

    if not found:
        _refuse_parts_as_classes(root, folders)
        return {"train": root}

    names = [folder.name for folder in found.values()]
    if needs_train and "train" not in found:
        raise DatasetError(
            f"{root} holds {' and '.join(names)}, but no folder train with class folders inside; "
            "add it, or rename what is no split"
        )
    for folder in others:
        detail = (
            f"holds images, but is not read: a split is a folder {', '.join(SPLIT_NAMES)} with a "
            f"folder per class inside; where {' or '.join(names)} is a class, lay all classes "
            "into one folder train"
        )
        listing.report("skipped", folder, detail)
    return {split: found[split] for split in SPLITS if split in found}


def _like_a_split(folder: Path) -> str | None:
    """Tell which split a folder may be, by a word in its name."""
    words = re.findall(r"[a-z]+", folder.name.lower())
    return next((LIKE_A_SPLIT[word] for word in words if word in LIKE_A_SPLIT), None)


def _refuse_parts_as_classes(root: Path, folders: list[Path]) -> None:
    """Refuse class folders whose names are those of the parts of a dataset."""
    splits = {folder.name: split for folder in folders if (split := _like_a_split(folder))}
    parts = [folder.name for folder in folders if folder.name.lower() in LIKE_A_PART]
    if "train" in splits.values() and len(set(splits.values())) > 1:
        parts = [*splits]
    if len(parts) > 1:
        raise DatasetError(
            f"{root} would have the classes {name_some(parts)}, which look like parts of a "
            f"dataset; give the folder that holds the class folders as dataset.root=, lay images "
            "out as train/<class>/*.jpg and test/<class>/*.jpg, or list images and classes in "
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
            f"the classes are {name_some(classes)}, in which lie folders {name_some(shared)}; if "
            f"these are the classes, the root is one level too high: dataset.root="
            f"{root / classes[0]}"
        )
        listing.report("same_folders", root, detail)


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

    spelled: dict[str, str] = {}
    for name in names:
        twin = spelled.setdefault(normalize("NFC", name).lower(), name)
        if twin != name:
            detail = f"this class differs from {twin} only by case, or by how accents are coded"
            listing.report("class_duplicate", train / name, detail)
    return names


def _report_unknown_classes(part: Path, listing: Listing) -> None:
    """Record folders with images that are of none of the classes."""
    known = {normalize("NFC", name) for name in listing.classes}
    for folder in own_folders(part):
        is_known = normalize("NFC", folder.name) in known or leads_back(folder)
        if not is_known and holds_images(folder):
            detail = f"there is no such class in training, which has {name_some(listing.classes)}"
            listing.report("unknown_class", folder, detail)
