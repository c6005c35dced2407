"""The labeled files of a dataset in its training, validation and test split."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from agnet_vision.data.sources.card import dataset_root, load_card
from agnet_vision.data.sources.holdout import hold_out
from agnet_vision.data.sources.listing import FATAL, SPLITS, Listing, Problem, Sample, name_some
from agnet_vision.data.sources.readers import check_command, read_listing
from agnet_vision.data.sources.split_list import (
    ListedImage,
    list_images,
    read_split_list,
    write_split_list,
)
from agnet_vision.errors import DatasetError
from agnet_vision.task import SINGLE_LABEL, Task

VAL_FRACTION = 0.1  # ours; the papers have no validation split
TEST_FRACTION = 0.2  # ours


class DatasetWarning(UserWarning):
    """A warning about a dataset that can be used although it deviates from its card."""


class SplitDifference(NamedTuple):
    """The images, by path, in which a dataset on disk and a list differ.

    Attributes:
        missing: images that are listed, but no longer there.
        new: images that are there, but not listed.
        relabeled: images that are in another class, or have other labels, now.
    """

    missing: list[str]
    new: list[str]
    relabeled: list[str]


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
        task: what the labels mean.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    problems: list[Problem] = field(default_factory=list)
    drawn: tuple[str, ...] = ()
    layout: Path | None = None
    task: Task = SINGLE_LABEL

    def write_splits(self, path: Path) -> None:
        """Write which image is in which split, as ``path,label,split,group``."""
        write_split_list(path, self._rows(), self.task)

    def compare_splits(self, path: Path) -> SplitDifference:
        """Compare the images with those of a stored split list, whatever their splits.

        Raises:
            DatasetNotFoundError: there is no such list.
            DatasetError: it is damaged.
        """
        before = {row.path: row.label for row in read_split_list(path)}
        now = {row.path: row.label for row in self._rows()}
        return SplitDifference(
            missing=[path for path in before if path not in now],
            new=[path for path in now if path not in before],
            relabeled=[path for path in before if now.get(path, before[path]) != before[path]],
        )

    def read_splits(self, path: Path) -> SampleTable:
        """Put the images back into the splits of a stored list, in its order.

        Images that the list does not name are left out, with a ``DatasetWarning``.

        Raises:
            DatasetNotFoundError: there is no such list.
            DatasetError: it is damaged, or a listed image is missing or has another class now.
        """
        missing, new, relabeled = self.compare_splits(path)
        changes = []
        if missing:
            changes.append(f"{len(missing):,} of its images are missing ({name_some(missing)})")
        if relabeled:
            changes.append(f"{len(relabeled):,} are in another class now ({name_some(relabeled)})")
        if changes:
            raise DatasetError(
                f"{path} must fit the images in {self.root}, but {' and '.join(changes)}; "
                "restore them, or start a new run"
            )
        if new:
            warnings.warn(
                f"{len(new):,} images of {self.root} are not in {path} and are left out: "
                f"{name_some(new)}",
                DatasetWarning,
                stacklevel=2,
            )

        labels = {name: label for label, name in enumerate(self.classes)}
        layout = self.layout or self.root
        splits: dict[str, list[Sample]] = {split: [] for split in SPLITS}
        for row in read_split_list(path):
            label = self.task.label(self.task.names(row.label), labels)
            splits[row.split].append(Sample(layout / row.path, label, row.group))
        return replace(self, splits=splits)

    def _rows(self) -> list[ListedImage]:
        return list_images(self.splits, self.classes, self.layout or self.root, self.task)


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
        val_fraction: part of train held out as val where there is no val split (ours).
        test_fraction: part of train held out as test where there is no test split (ours).
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

    drawn: tuple[str, ...] = ()
    if known:
        part_of = {split: split if listing.is_divided else "train" for split in SPLITS}
        splits = {split: listing.splits.get(part, []) for split, part in part_of.items()}
    else:
        drawn = tuple(split for split in ("val", "test") if split not in listing.splits)
        splits = draw_splits(listing, val_fraction, test_fraction, seed)
    return SampleTable(
        name,
        root,
        listing.classes,
        splits,
        listing.problems,
        drawn,
        listing.layout,
        listing.task,
    )


def draw_splits(
    listing: Listing, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[Sample]]:
    """Take the given splits, and hold out the others, the test first."""
    splits = dict(listing.splits)
    for part, fraction in (("test", test_fraction), ("val", val_fraction)):
        if part not in splits:
            splits["train"], splits[part] = hold_out(
                splits["train"],
                fraction,
                seed=seed,
                part=part,
                layout=listing.layout,
                task=listing.task,
            )
    return {split: splits[split] for split in SPLITS}


def _refuse_or_warn(name: str, root: Path, listing: Listing, options: dict[str, Any]) -> None:
    """Raise an error for problems that spoil the labels, and warn of others."""
    problems = sorted(listing.problems, key=lambda problem: problem.kind not in FATAL)
    shown = "\n  ".join(map(str, problems[:3]))
    if len(problems) > 3:
        shown += f"\n  and {len(problems) - 3:,} more"

    command = check_command(name, root, options, report="problems.json")
    if listing.fatal():
        raise DatasetError(f"dataset={name} cannot be used:\n  {shown}\n  All of it:", command)
    if problems:
        warnings.warn(
            f"dataset={name} is not what it should be:\n  {shown}\n  All of it: {command}",
            DatasetWarning,
            stacklevel=3,
        )
