"""Find a dataset on disk and read its layout, with every problem it shows."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnet_vision.data.demo import generate_demo
from agnet_vision.data.sources.card import Card, dataset_root, load_card
from agnet_vision.data.sources.hf import read_hf
from agnet_vision.data.sources.layouts.aucd import read_aucd_v1, read_aucd_v2
from agnet_vision.data.sources.layouts.caltech256 import read_caltech256
from agnet_vision.data.sources.layouts.folder import read_folder
from agnet_vision.data.sources.layouts.food101 import read_food101
from agnet_vision.data.sources.layouts.ppmi import read_ppmi
from agnet_vision.data.sources.layouts.scan import class_folders, report_skipped
from agnet_vision.data.sources.layouts.stanford40 import read_stanford40
from agnet_vision.data.sources.listing import Listing, ProblemKind, image_name
from agnet_vision.errors import ConfigError, DatasetNotFoundError

# Dataset -> what reads its layout from a root, with the card's classes and its own options.
READERS: dict[str, Callable[..., Listing]] = {
    "demo": read_folder,
    "folder": read_folder,
    "hf": read_hf,
    "aucd_v1": read_aucd_v1,
    "aucd_v2": read_aucd_v2,
    "stanford40": read_stanford40,
    "ppmi": read_ppmi,
    "food101": read_food101,
    "caltech256": read_caltech256,
}


def read_listing(
    name: str, root: Path | str | None = None, *, known: tuple[str, ...] = (), **options: Any
) -> Listing:
    """Read the official splits of a dataset, and check names and counts.

    An option of the dataset, or ``group_regex``, may be None, as if it were left out.

    Args:
        name: name of the dataset.
        root: folder of the data; ``datasets/<name>/data`` where None.
        known: classes of a network that is to be scored; data of one's own is then read for that,
            not for training.
        **options: options of the dataset.

    Raises:
        DatasetNotFoundError: the root, or what the layout cannot do without, is missing.
        ConfigError: an unknown dataset, or an option that does not fit it.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    options = {key: value for key, value in options.items() if value is not None}
    pattern = options.pop("group_regex", None)
    if name == "demo" and not (root / "demo.json").exists():
        generate_demo(root)
    if name == "hf":  # its files are written into the root, under names of ours
        if pattern is not None:
            raise ConfigError("dataset=hf has no paths that tell groups; use group_column")
        root.mkdir(parents=True, exist_ok=True)

    layout = find_layout(card, root)
    listing = READERS[name](layout, card.classes or known, **options)
    if listing.layout == Path():  # the reader has no folder of its own
        listing.layout = layout
    if pattern is not None:
        _assign_groups(listing, pattern)

    if card.classes or not known:
        _check_counts(card, root, listing)
    _report_divided_groups(listing)
    report_skipped(listing)
    return listing


def find_layout(card: Card, root: Path) -> Path:
    """Find the folder that holds the official layout.

    It is the root itself, the folder an archive unpacks into, or either of them one folder deeper,
    as some copies have it.

    Raises:
        DatasetNotFoundError: with what was looked for, where to get it and the command that checks.
        DatasetError: the root cannot be read.
    """
    folders = [root / inside for inside in card.inside]
    deeper = []
    if card.needs and root.is_dir():
        deeper = [inner / inside for inner in class_folders(root) for inside in card.inside]
    for folder in [*folders, *deeper]:
        if folder.is_dir() and all((folder / need).exists() for need in card.needs):
            return folder

    raise DatasetNotFoundError(
        f"{card.title} is not there: {_what_lacks(card, root, folders)}.\n"
        f"  {card.how_to_get}\n"
        f"  If it lies elsewhere, name that folder as its root. "
        f"To check it: {check_command(card.name, root, {})}"
    )


def _what_lacks(card: Card, root: Path, folders: list[Path]) -> str:
    """Say which parts of a layout were not found."""
    if not root.is_dir():
        return f"{root} {'is not a folder' if root.exists() else 'does not exist'}"
    for folder in folders:
        missing = [str(folder / need) for need in card.needs if not (folder / need).exists()]
        if len(missing) < len(card.needs):
            return f"{' and '.join(missing)} missing, though part of the dataset lies beside it"
    return " or ".join(str(folder / card.needs[0]) for folder in folders) + " does not exist"


def check_command(name: str, root: Path, options: dict[str, Any]) -> str:
    """Write the command that checks a dataset, ready for a shell."""
    given = {"root": root, **{key: value for key, value in options.items() if value is not None}}
    words = shlex.join(f"dataset.{key}={value}" for key, value in given.items())
    return f"agnet prepare dataset={name} {words}"


def _assign_groups(listing: Listing, pattern: str) -> None:
    """Read who or what each image shows from its path, for splits that divide no group.

    The group is the pattern's first parenthesis, or all that it matches.
    """
    if any(sample.group is not None for samples in listing.splits.values() for sample in samples):
        raise ConfigError(
            f"group_regex={pattern} must be the only source of groups; leave it out, "
            "or the list that names them"
        )
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"group_regex={pattern} must be a regular expression: {error}") from error

    for samples in listing.splits.values():
        for i, sample in enumerate(samples):
            path = image_name(sample.path, listing.layout)
            match = expression.search(path)
            group = match and match[1 if expression.groups else 0]
            if group is None:
                raise ConfigError(
                    f"group_regex={pattern} must match every path, finds nothing in {path}"
                )
            samples[i] = sample._replace(group=group)


def _report_divided_groups(listing: Listing) -> None:
    """Record groups that the given splits have on two sides."""
    first: dict[str, str] = {}
    divided: dict[tuple[str, str, str], int] = defaultdict(int)
    for split, samples in listing.splits.items():
        for group in (sample.group for sample in samples if sample.group is not None):
            if first.setdefault(group, split) != split:
                divided[group, first[group], split] += 1
    for (group, first_split, split), number in divided.items():
        detail = f"the group {group} is in {first_split}, and {number:,} times in {split}"
        listing.report("group_overlap", listing.layout, detail)


def _check_counts(card: Card, root: Path, listing: Listing) -> None:
    """Record what training lacks, and sizes unlike the card's."""
    if not listing.splits["train"]:
        expected = (
            "expected <class>/*.jpg or train/<class>/*.jpg inside"
            if card.own
            else "is the archive unpacked completely?"
        )
        listing.report("no_images", root, f"no training image; {expected}")
    elif len(listing.classes) < 2:
        (name,) = listing.classes
        folder = listing.folders.get(("train", name), root)
        deeper = f": is it dataset.root={folder}?" if len(class_folders(folder)) > 1 else ""
        listing.report(
            "one_class",
            root,
            f"there must be at least two classes, there is one: {name!r}; "
            f"a class is a folder of images{deeper}",
        )

    for split, counts in listing.counts().items():
        for name in [name for name, count in counts.items() if count == 0]:
            kind: ProblemKind = "empty_class" if split == "train" else "absent_class"
            where = listing.folders.get((split, name), root)
            listing.report(kind, where, f"{split}: the class {name} has no image")
        expected_count = card.splits.get(split)
        found = sum(counts.values()) + (len(listing.left_out) if split == "test" else 0)
        if expected_count is not None and found != expected_count:
            detail = f"{split}: {found:,} images, the card says {expected_count:,}"
            listing.report("wrong_count", root, detail)
