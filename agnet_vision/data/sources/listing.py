"""What reading a layout gives: labeled files per split, and the problems met."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from agnet_vision.task import SINGLE_LABEL, Label, Task

SPLITS = ("train", "val", "test")
# What data of one's own may call them.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}

ProblemKind = Literal[
    "missing_file",  # listed, not on disk
    "missing_folder",  # part of the official layout, not on disk
    "no_images",  # nothing to train on
    "one_class",  # nothing to tell apart
    "empty_class",  # a class without one training image
    "constant_label",  # one of several labels that all training images have, or none
    "separator",  # names of labels that look like several
    "absent_class",  # a class without one image in another split
    "unknown_class",  # a class in val or test that train does not know
    "wrong_count",  # the card says another number
    "wrong_list",  # a list contradicts itself or the layout
    "unused_column",  # a list has a column that nothing reads
    "class_duplicate",  # two class folders whose names are one on a case-insensitive disk
    "bad_name",  # bytes that are not Unicode: no table or report could hold the name
    "symlink_loop",  # a link back to a folder above it, or to nothing
    "same_folders",  # class folders that hold folders of the same names
    "skipped",  # images in a format, or under a name, that is not read
    "undecodable",  # not an image, or damaged
    "dark",  # 16-bit values that use a small part of their range
    "group_overlap",  # the same driver or patient in two given splits
    "overlap",  # the same path in two splits, or twice in one
    "contradiction",  # the same bytes in two classes
    "duplicate",  # the same bytes in two splits
    "near_duplicate",  # nearly the same image in two splits
]

# With these the labels would be wrong or a class could not be learned; all others are warnings.
FATAL: frozenset[ProblemKind] = frozenset(
    {"no_images", "one_class", "empty_class", "unknown_class", "class_duplicate", "wrong_list"}
)


class Sample(NamedTuple):
    """One labeled file.

    Attributes:
        path: path of the file.
        label: index of its class, or what is known of each label, see ``task``.
        group: person or thing that the image shows (a driver, a patient); no split divides it.
    """

    path: Path
    label: Label
    group: str | None = None


class Problem(NamedTuple):
    """Something wrong with the data, named with its path."""

    kind: ProblemKind
    path: str
    detail: str

    def __str__(self) -> str:
        """Write the problem as one line that any terminal shows."""
        return f"{self.path}: {self.detail}".encode("utf-8", "backslashreplace").decode()


@dataclass
class Listing:
    """A layout on disk, without a validation split yet.

    Attributes:
        classes: names of the classes in label order.
        splits: labeled files per split, in a deterministic order.
        problems: problems found; no layout raises for a single bad file.
        left_out: images of the official test split that an option takes away; they still count
            against the card.
        skipped: files that look like images but are not read.
        layout: folder in which the layout begins; images are named relative to it.
        is_divided: whether the data says in which split an image is; otherwise all are in train.
        task: what the labels mean.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Sample]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    left_out: list[Sample] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    layout: Path = Path()
    is_divided: bool = True
    task: Task = SINGLE_LABEL

    def report(self, kind: ProblemKind, path: Path | str, detail: str) -> None:
        """Record a problem."""
        self.problems.append(Problem(kind, str(path), detail))

    def fatal(self) -> list[Problem]:
        """Select the problems that forbid training."""
        return [problem for problem in self.problems if problem.kind in FATAL]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the samples of every class, or those with each label, in every split."""
        counts = {split: dict.fromkeys(self.classes, 0) for split in self.splits}
        for split, samples in self.splits.items():
            for sample in samples:
                for number in self.task.numbers(sample.label):
                    counts[split][self.classes[number]] += 1
        return counts


def image_name(path: Path, layout: Path) -> str:
    """Name an image by its path relative to the layout, with slashes."""
    return Path(os.path.relpath(path, layout)).as_posix()


def name_some(names: Collection[str], number: int = 4) -> str:
    """Write the first names, and count the rest."""
    more = len(names) - number
    return ", ".join([*names][:number]) + (f" and {more:,} more" if more > 0 else "")
