"""The layout of any dataset on disk, read with every problem it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agnet_vision.data.demo import generate_demo
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


def read_listing(name: str, root: Path | str | None = None, **options: Any) -> Listing:
    """Read the official splits of a dataset, and check names and counts.

    Args:
        name: name of the dataset.
        root: folder of the data; its default home where None.
        **options: options of the dataset, and ``group_regex``; None is as good as left out.

    Raises:
        DatasetNotFoundError: the root, or what the layout cannot do without, is missing.
        ConfigError: the dataset is unknown, or an option does not fit it.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    options = {key: value for key, value in options.items() if value is not None}
    if name == "demo" and not (root / "demo.json").exists():
        generate_demo(root)
    pattern = options.pop("group_regex", None)
    if name == "hf":  # its files are written into the root, under names of ours
        if pattern is not None:
            raise ConfigError("dataset=hf has no paths that tell groups; use group_column")
        root.mkdir(parents=True, exist_ok=True)

    layout = find_layout(card, root)
    listing = READERS[name](layout, card.classes, **options)
    if listing.layout == Path():  # the reader has no folder of its own
        listing.layout = layout
    if pattern is not None:
        assign_groups(listing, pattern)

    _check_counts(card, root, listing)
    report_divided_groups(listing)
    report_skipped(listing)
    return listing


def _check_counts(card: Card, root: Path, listing: Listing) -> None:
    """Record what training lacks, and where numbers differ from those of the card."""
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
            f"there must be at least two classes, there is one: {listing.classes[0]!r}; "
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
