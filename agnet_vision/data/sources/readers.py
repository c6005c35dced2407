"""``read_listing``: any dataset's layout as it is on disk, and every problem it shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnet_vision.data.demo.generate import generate_demo
from agnet_vision.data.sources.card import Card, dataset_root, load_card
from agnet_vision.data.sources.find import find_layout
from agnet_vision.data.sources.groups import assign_groups, report_divided_groups
from agnet_vision.data.sources.hf import read_hf
from agnet_vision.data.sources.layouts.aucd import read_aucd_v1, read_aucd_v2
from agnet_vision.data.sources.layouts.caltech256 import read_caltech256
from agnet_vision.data.sources.layouts.folder import read_folder
from agnet_vision.data.sources.layouts.food101 import read_food101
from agnet_vision.data.sources.layouts.ppmi import read_ppmi
from agnet_vision.data.sources.layouts.scan import report_skipped
from agnet_vision.data.sources.layouts.stanford40 import read_stanford40
from agnet_vision.data.sources.listing import Listing, ProblemKind
from agnet_vision.errors import ConfigError


def read_listing(name: str, root: Path | str | None = None, **options: Any) -> Listing:
    """Read a layout as it is on disk: the official splits, and what its names and counts show.

    Args:
        name: of the dataset.
        root: where the data lies; None: its default home.
        **options: of the dataset; None is the same as leaving an option out. ``group_regex`` is
            taken by every dataset of files.

    Raises:
        DatasetNotFoundError: the root, or what the layout cannot do without, is missing.
        ConfigError: an unknown dataset or option.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    read = _reader(name)
    options = {key: value for key, value in options.items() if value is not None}
    _check_options(name, read, options)
    if name == "demo" and not (root / "demo.json").exists():
        generate_demo(root)
    if name == "hf":  # its files are written into the root
        root.mkdir(parents=True, exist_ok=True)

    pattern = options.pop("group_regex", None)
    layout = find_layout(card, root)
    listing = read(layout, card.classes, **options)
    if listing.layout == Path():  # the reader has no folder of its own
        listing.layout = layout
    if pattern is not None:
        assign_groups(listing, pattern)

    _check_counts(card, root, listing)
    report_divided_groups(listing)
    report_skipped(listing)
    return listing


def _reader(name: str) -> Callable[..., Listing]:
    """Choose the reader of a layout."""
    match name:
        case "folder":
            return read_folder
        case "demo":
            return lambda root, classes: read_folder(root, classes)
        case "hf":
            return read_hf
        case "aucd_v1":
            return read_aucd_v1
        case "aucd_v2":
            return read_aucd_v2
        case "stanford40":
            return read_stanford40
        case "ppmi":
            return read_ppmi
        case "food101":
            return read_food101
        case "caltech256":
            return read_caltech256
        case _:
            raise ConfigError(f"dataset={name} has a card but no reader")


def dataset_options(name: str) -> list[str]:
    """Name the options a dataset has beside those of the split."""
    parameters = inspect.signature(_reader(name)).parameters.values()
    own = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    return own if name in ("demo", "hf") else [*own, "group_regex"]


def _check_options(name: str, read: Callable[..., Listing], options: dict[str, Any]) -> None:
    """Refuse options the layout does not have."""
    accepted = dataset_options(name)
    if unknown := sorted(set(options) - set(accepted)):
        takes = f"its options are {', '.join(accepted)}" if accepted else "it has no such options"
        raise ConfigError(f"dataset={name} does not take {', '.join(unknown)}; {takes}")


def _check_counts(card: Card, root: Path, listing: Listing) -> None:
    """Record what is missing to train at all, and splits whose size is not the card's."""
    if not listing.splits["train"]:
        expected = (
            "expected <class>/*.jpg or train/<class>/*.jpg inside"
            if card.name == "folder"
            else "is the archive unpacked completely?"
        )
        listing.report("no_images", root, f"no training image; {expected}")
    elif len(listing.classes) < 2:
        listing.report(
            "one_class",
            root,
            f"there must be at least two classes, got {listing.classes[0]} alone; "
            "a class is a folder of images",
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
