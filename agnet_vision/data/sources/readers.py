"""Find a dataset on disk and read its layout, with every problem it shows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnet_vision.data.demo import generate_demo
from agnet_vision.data.sources.card import Card, dataset_root, load_card
from agnet_vision.data.sources.hf import read_hf
from agnet_vision.data.sources.layouts import benchmarks
from agnet_vision.data.sources.layouts.folder import read_folder
from agnet_vision.data.sources.layouts.scan import class_folders, report_skipped
from agnet_vision.data.sources.listing import Listing, ProblemKind, image_name
from agnet_vision.errors import ConfigError, DatasetNotFoundError, ShellCommand
from agnet_vision.task import ABSENT

# Dataset -> what reads its layout from a root, with the card's classes and its own options.
READERS: dict[str, Callable[..., Listing]] = {
    "demo": read_folder,
    "folder": read_folder,
    "hf": read_hf,
    "aucd_v1": benchmarks.read_aucd_v1,
    "aucd_v2": benchmarks.read_aucd_v2,
    "stanford40": benchmarks.read_stanford40,
    "ppmi": benchmarks.read_ppmi,
    "food101": benchmarks.read_food101,
    "caltech256": benchmarks.read_caltech256,
}


def read_listing(
    name: str, root: Path | str | None = None, *, known: tuple[str, ...] = (), **options: Any
) -> Listing:
    """Read the official splits of a dataset, and check names and counts.

    Args:
        name: name of the dataset.
        root: folder of the data; ``datasets/<name>/data`` where None.
        known: classes of a network that is to be scored; data of one's own is then read for that,
            not for training.
        **options: options of the dataset, and ``group_regex``; None is as if left out.

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
        f"  If it lies elsewhere, name that folder as its root. To check it:",
        check_command(card.name, root, {}),
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


def check_command(name: str, root: Path, options: dict[str, Any], **more: str) -> ShellCommand:
    """Name the command that checks a dataset, with options of the dataset and of the command."""
    given = {f"dataset.{key}": value for key, value in options.items() if value is not None}
    return ShellCommand("prepare", {"dataset": name, "dataset.root": root, **given, **more})


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
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for split, samples in listing.splits.items():
        for group in (sample.group for sample in samples if sample.group is not None):
            counts[group][split] += 1
    for group, of_split in counts.items():
        if len(of_split) > 1:
            shown = " and ".join(
                f"{number:,} times in {split}" for split, number in of_split.items()
            )
            listing.report("group_overlap", listing.layout, f"the group {group} is {shown}")


def _report_constant_labels(root: Path, listing: Listing) -> None:
    """Record the labels that no training image is without."""
    train = listing.splits["train"]
    varied = {k for sample in train for k, value in enumerate(sample.label) if value == ABSENT}
    for number, name in enumerate(listing.classes):
        if number not in varied:
            detail = f"train: no image is without the label {name}, so it cannot be learned"
            listing.report("constant_label", root, detail)


def _check_counts(card: Card, root: Path, listing: Listing) -> None:
    """Record what training lacks, and sizes unlike the card's."""
    if not listing.splits["train"]:
        cure = "is the archive unpacked completely?"
        if card.own:
            cure = "expected <class>/*.jpg or train/<class>/*.jpg inside"
        listing.report("no_images", root, f"no training image; {cure}")
    elif len(listing.classes) < listing.task.min_classes:
        (name,) = listing.classes
        detail = (
            f"there must be at least two classes, there is one: {name!r}; "
            "a class is a folder of images"
        )
        folder = listing.layout / name
        if folder.is_dir() and len(class_folders(folder)) > 1:
            detail += f": is it dataset.root={folder}?"
        listing.report("one_class", root, detail)

    must_have = ("train",) if listing.task.is_exclusive else ()
    for split, counts in listing.counts().items():
        for name in [name for name, count in counts.items() if count == 0]:
            kind: ProblemKind = "empty_class" if split in must_have else "absent_class"
            listing.report(kind, root, f"{split}: the class {name} has no image")
    if not listing.task.is_exclusive:
        _report_constant_labels(root, listing)
    for split, expected in card.splits.items():
        found = len(listing.splits[split]) + (len(listing.left_out) if split == "test" else 0)
        if found != expected:
            detail = f"{split}: {found:,} images, the card says {expected:,}"
            listing.report("wrong_count", root, detail)
