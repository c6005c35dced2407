"""Split lists: CSV files that say which image is in which split.

A list says what a run was trained, validated and tested on. Paths are relative to the folder in
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
from agnet_vision.data.sources.listing import SPLITS, Sample, image_name
from agnet_vision.errors import DatasetError
from agnet_vision.files import write_atomically
from agnet_vision.task import BY_COLUMN, SINGLE_LABEL, Task


class ListedImage(NamedTuple):
    """One row of a split list.

    Attributes:
        path: path relative to the folder of the layout, with slashes.
        label: name of the class, or names of the labels, as the task writes them.
        split: "train", "val" or "test".
        group: name of the group; None where the image has none.
    """

    path: str
    label: str
    split: str
    group: str | None = None


def write_split_list(path: Path, rows: Iterable[ListedImage], task: Task = SINGLE_LABEL) -> None:
    """Write a split list, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", task.column, "split", "group"))
    writer.writerows((*row[:3], row.group or "") for row in rows)
    write_atomically(path, text.getvalue())


def read_split_list(path: Path) -> list[ListedImage]:
    """Read the rows of a split list, in its order.

    Raises:
        DatasetNotFoundError: there is none.
        DatasetError: it is damaged, or it names an image twice.
    """
    rows: list[ListedImage] = []
    seen = set[str]()
    optional = (*BY_COLUMN, "group")
    for number, row in read_rows(path, ("path", "split"), optional=optional, strip=False):
        label = next((row[column] for column in BY_COLUMN if column in row), None)
        if label is None:
            raise DatasetError(f"{path} must have a column {' or '.join(BY_COLUMN)}")
        listed = ListedImage(row["path"], label, row["split"], row.get("group") or None)
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
    splits: dict[str, list[Sample]],
    classes: Sequence[str],
    layout: Path,
    task: Task = SINGLE_LABEL,
) -> list[ListedImage]:
    """Describe the samples of all splits as rows, with paths relative to ``layout``."""
    return [
        ListedImage(
            image_name(sample.path, layout), task.text(sample.label, classes), split, sample.group
        )
        for split, samples in splits.items()
        for sample in samples
    ]
