"""Split lists: CSV files that say which image is in which split.

Their columns are ``path,label,split,group``. A list says what a run was trained, validated and
tested on. Paths are relative to the folder in
which the layout of the dataset begins, so a list fits a dataset that was moved. ``dataset=folder``
reads the same columns, so a list is also a dataset description.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from agnet_vision.data.sources.layouts.lists import read_rows
from agnet_vision.data.sources.listing import Sample, image_name
from agnet_vision.errors import DatasetError
from agnet_vision.files import write_atomically

COLUMNS = ("path", "label", "split", "group")
SPLITS = ("train", "val", "test")


class ListedImage(NamedTuple):
    """One row of a split list.

    Attributes:
        path: path relative to the folder of the layout, with slashes.
        label: name of the class.
        split: "train", "val" or "test".
        group: name of the group; None where the image has none.
    """

    path: str
    label: str
    split: str
    group: str | None = None


def write_split_list(path: Path, rows: Iterable[ListedImage]) -> None:
    """Write a split list, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*row[:3], row.group or "") for row in rows)
    write_atomically(path, text.getvalue())


def read_split_list(path: Path) -> list[ListedImage]:
    """Read the rows of a split list, in its order.

    Raises:
        DatasetError: there is none, it is damaged, or it names an image twice.
    """
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; a run writes its split list when it starts")

    rows: list[ListedImage] = []
    seen = set[str]()
    for number, row in read_rows(path, COLUMNS[:3], optional=COLUMNS[3:], strip=False):
        listed = ListedImage(row["path"], row["label"], row["split"], row.get("group") or None)
        if listed.split not in SPLITS:
            raise DatasetError(
                f"{path}, line {number}: split must be train, val or test, got {listed.split!r}"
            )
        if listed.path in seen:
            raise DatasetError(f"{path}, line {number}: {listed.path} is listed a second time")
        seen.add(listed.path)
        rows.append(listed)
    return rows


def list_images(
    splits: dict[str, list[Sample]], classes: Sequence[str], layout: Path
) -> list[ListedImage]:
    """Describe the samples of all splits as rows.

    Args:
        splits: samples of each split.
        classes: names of the classes in label order.
        layout: folder to which paths are written relative.
    """
    return [
        ListedImage(image_name(sample.path, layout), classes[sample.label], split, sample.group)
        for split, samples in splits.items()
        for sample in samples
    ]


class SplitDifference(NamedTuple):
    """The images, by path, in which a dataset on disk and a list differ.

    Attributes:
        missing: images that are listed, but no longer there.
        new: images that are there, but not listed.
        relabeled: images that are in another class now.
    """

    missing: list[str]
    new: list[str]
    relabeled: list[str]


def compare_with_list(
    found: Sequence[ListedImage], listed: Sequence[ListedImage]
) -> SplitDifference:
    """Compare the images of a dataset with those of a split list, whatever their splits."""
    before = {row.path: row for row in listed}
    now = {row.path: row for row in found}
    both = [path for path in before if path in now]
    return SplitDifference(
        missing=[path for path in before if path not in now],
        new=[path for path in now if path not in before],
        relabeled=[path for path in both if before[path].label != now[path].label],
    )
