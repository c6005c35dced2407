"""The labeled files of a dataset in its training, validation and test split."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agnet_vision.data.sources.card import dataset_root, load_card
from agnet_vision.data.sources.holdout import hold_out
from agnet_vision.data.sources.listing import Listing, Problem, Sample
from agnet_vision.data.sources.readers import check_command, read_listing
from agnet_vision.data.sources.split_list import (
    SPLITS,
    SplitDifference,
    compare_with_list,
    list_images,
    read_split_list,
    write_split_list,
)
from agnet_vision.errors import DatasetError

VAL_FRACTION = 0.1  # ours; the papers have no validation split
TEST_FRACTION = 0.2  # ours


class DatasetWarning(UserWarning):
    """A warning about a dataset that can be used although it deviates from its card."""


@dataclass
class SampleTable:
    """The labeled files of a dataset.

    Attributes:
        name: name of the dataset.
        root: folder in which it lies.
        classes: names of the classes in label order.
        splits: samples of "train", "val" and "test"; a split may be empty.
        problems: problems with the files, none of them fatal.
        drawn: splits that were held out of train here; the others are the dataset's own.
        layout: folder to which names of images in split lists are relative; the root where None.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    problems: list[Problem] = field(default_factory=list)
    drawn: tuple[str, ...] = ()
    layout: Path | None = None

    def write_splits(self, path: Path) -> None:
        """Write which image is in which split, as ``path,label,split,group``."""
        write_split_list(path, self._rows())

    def compare_splits(self, path: Path) -> SplitDifference:
        """Name the images that differ from a stored split list.

        Raises:
            DatasetError: there is no such list, or it is damaged.
        """
        return compare_with_list(self._rows(), read_split_list(path))

    def read_splits(self, path: Path) -> SampleTable:
        """Put the images back into the splits of a stored list, in its order.

        Images that the list does not name are left out, with a ``DatasetWarning``.

        Raises:
            DatasetError: there is no such list, it is damaged, or a listed image is missing or has
                another class now.
        """
        difference = self.compare_splits(path)
        if difference.missing or difference.relabeled:
            raise DatasetError(_refusal(self, path, difference))
        if difference.new:
            warnings.warn(
                f"{len(difference.new):,} images of {self.root} are not in {path} and are left "
                f"out: {_some(difference.new)}",
                DatasetWarning,
                stacklevel=2,
            )

        labels = {name: label for label, name in enumerate(self.classes)}
        layout = self.layout or self.root
        splits: dict[str, list[Sample]] = {split: [] for split in SPLITS}
        for row in read_split_list(path):
            sample = Sample(layout / row.path, labels[row.label], row.group)
            splits[row.split].append(sample)
        return replace(self, splits=splits)

    def _rows(self) -> list[Any]:
        return list_images(self.splits, self.classes, self.layout or self.root)


def _refusal(table: SampleTable, path: Path, difference: SplitDifference) -> str:
    """Say which listed images changed, and what to do."""
    parts = []
    if difference.missing:
        count = len(difference.missing)
        parts.append(f"{count:,} of its images are missing ({_some(difference.missing)})")
    if difference.relabeled:
        count = len(difference.relabeled)
        parts.append(f"{count:,} are in another class now ({_some(difference.relabeled)})")
    return (
        f"{path} must fit the images in {table.root}, but {' and '.join(parts)}; "
        "restore them, or start a new run"
    )


def _some(names: list[str], number: int = 3) -> str:
    """Show the first names, and count the rest."""
    more = len(names) - number
    return ", ".join(names[:number]) + (f" and {more:,} more" if more > 0 else "")


def read_samples(
    name: str,
    root: Path | str | None = None,
    *,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    seed: int = 0,
    known: tuple[str, ...] = (),
    **options: Any,
) -> SampleTable:
    """Read a dataset's labeled files without opening any image.

    Args:
        name: demo, folder, hf, aucd_v1, aucd_v2, stanford40, ppmi, food101 or caltech256.
        root: folder of the data; ``datasets/<name>/data`` where None.
        val_fraction: part of train held out as val where there is no val split; 0.1 (ours; the
            papers have none).
        test_fraction: part held out as test where the data has no test split; 0.2 (ours). Only
            for data of one's own: benchmarks have a test split.
        seed: seed of what is held out; each image is placed by its own name (``holdout``).
        known: classes of a network that is to be scored. Of data of one's own nothing is then held
            out, no class must have images, and where it is not divided each split is all of it.
        **options: options of the dataset (``clean`` of aucd_v2, ``csv`` of folder, ...).

    Raises:
        DatasetNotFoundError: it is not there; the message says where to get it.
        DatasetError: it is there, but cannot be used.
        ConfigError: the dataset is unknown, or a fraction is out of bounds.
        TypeError: the dataset does not have such an option.
    """
    if load_card(name).classes:
        known = ()
    if known:  # groups decide what is held out, which is nothing
        options = {**options, "group_column": None, "group_regex": None}
    listing = read_listing(name, root, known=known, **options)
    root = dataset_root(name, root)
    _refuse_or_warn(name, root, listing, options)
    if known:
        given = listing.splits
        splits = {
            split: given.get(split if listing.is_divided else "train", []) for split in SPLITS
        }
        return SampleTable(
            name, root, listing.classes, splits, listing.problems, layout=listing.layout
        )

    splits = draw_splits(listing, val_fraction, test_fraction, seed)
    drawn = tuple(split for split in ("val", "test") if split not in listing.splits)
    return SampleTable(
        name, root, listing.classes, splits, listing.problems, drawn, layout=listing.layout
    )


def draw_splits(
    listing: Listing, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[Sample]]:
    """Take the given splits, and hold out the others, the test first."""
    splits = dict(listing.splits)
    for part, fraction in (("test", test_fraction), ("val", val_fraction)):
        if part not in splits:
            splits["train"], splits[part] = hold_out(
                splits["train"], fraction, seed=seed, part=part, layout=listing.layout
            )
    return {split: splits[split] for split in SPLITS}


def _refuse_or_warn(name: str, root: Path, listing: Listing, options: dict[str, Any]) -> None:
    """Raise an error for problems that spoil the labels, and warn of others."""
    check = f"{check_command(name, root, options)} report=problems.json"
    if fatal := listing.fatal():
        others = [problem for problem in listing.problems if problem not in fatal]
        named = _first([*fatal, *others])
        raise DatasetError(f"dataset={name} cannot be used:\n  {named}\n  All of it: {check}")
    if listing.problems:
        warnings.warn(
            f"dataset={name} is not what it should be:\n  {_first(listing.problems)}\n"
            f"  All of it: {check}",
            DatasetWarning,
            stacklevel=3,
        )


def _first(problems: list[Problem], number: int = 3) -> str:
    """Show the first problems, and count the rest."""
    more = len(problems) - number
    return "\n  ".join([*map(str, problems[:number]), *([f"and {more} more"] if more > 0 else [])])
