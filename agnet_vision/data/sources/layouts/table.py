"""CSV tables that list images with their labels, one or several per image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from agnet_vision.data.sources.layouts.coco import read_presence
from agnet_vision.data.sources.layouts.lists import ListedFiles, read_header, read_rows
from agnet_vision.data.sources.listing import SPLIT_NAMES, Listing, name_some
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.task import BY_COLUMN, SEPARATOR, SINGLE_LABEL, UNKNOWN_MARK, MultiLabel, Task

USUAL_SEPARATORS = ",;|/"
CELLS = {"1": "", "1.0": "", "0": None, "0.0": None, "": UNKNOWN_MARK, UNKNOWN_MARK: UNKNOWN_MARK}


class LabeledRow(NamedTuple):
    """A row of a table: its line, its cells, and the names in its label."""

    number: int
    row: dict[str, str]
    names: tuple[str, ...]


@dataclass
class LabeledTable:
    """A table whose labels are read.

    Attributes:
        classes: names of all labels, in label order.
        columns: columns that were read.
        doubt: why the labels may not be what is meant; empty where nothing speaks for that.
    """

    task: Task
    rows: list[LabeledRow]
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    doubt: str = ""


def read_table(
    root: Path,
    path: Path,
    group_column: str | None,
    classes: tuple[str, ...],
    *,
    label_columns: Sequence[str] = (),
    separator: str = SEPARATOR,
) -> Listing:
    """Read the files that a CSV lists; its classes are numbered by their sorted names.

    Args:
        root: folder in which the paths start.
        path: the CSV.
        group_column: column that names who or what an image shows.
        classes: classes of a network that is to be scored, in label order.
        label_columns: columns of several labels, with 1, 0, or ``?`` or nothing where it is
            unknown; empty: a column ``label`` names one class, or ``labels`` names several.
        separator: what parts the names in ``labels``.
    """
    table = read_labels(path, group_column, label_columns, separator)
    task, rows = table.task, table.rows
    names = classes or table.classes
    labels = {normalize("NFC", name): label for label, name in enumerate(names)}
    lacking = [f"{UNKNOWN_MARK}{name}" for name in labels if name not in label_columns]
    unknown = tuple(lacking) if label_columns else ()

    listing = Listing(names, {} if classes else {"train": []}, task=task)
    listing.is_divided = any(row.get("split") for _, row, _ in rows)
    split_list = ("path", task.column, "split", "group")  # its groups have made its splits
    is_split_list = rows and tuple(rows[0].row) == split_list
    _report_unused(path, rows, split_list if is_split_list else (*table.columns, "split"), listing)
    if table.doubt:
        listing.report("separator", path, table.doubt)

    files = ListedFiles(listing, repeated="wrong_list")
    for number, row, shown in rows:
        split = SPLIT_NAMES.get((row.get("split") or "train").lower())
        if split is None:
            raise DatasetError(
                f"{path}, line {number}: split {row['split']!r} must be train, val or test"
            )
        try:
            label = task.label((*shown, *unknown), labels)
        except KeyError as error:
            detail = f"line {number}: the network has no class {error.args[0]!r}"
            listing.report("unknown_class", path, f"{detail}; it has {name_some(names)}")
            continue

        image = Path(os.path.normpath(root / row["path"]))
        if files.find(image) is None:
            image = files.find(root / row["path"].replace("\\", "/")) or image
        group = row[group_column] if group_column else None
        files.add(split, image, label, list_name=f"line {number} of {path.name}", group=group)

    missing = [problem.path for problem in listing.problems if problem.kind == "missing_file"]
    if missing and not any(listing.splits.values()):
        raise DatasetError(
            f"{path}: {len(missing):,} of {len(rows):,} listed files are not on disk, first: "
            f"{missing[0]}; paths start inside dataset.root, with upper and lower case as on disk; "
            "dataset.csv=null reads class folders"
        )
    return listing


def _report_unused(
    path: Path, rows: Sequence[LabeledRow], used: tuple[str, ...], listing: Listing
) -> None:
    """Record the columns with values that nobody reads."""
    filled = dict.fromkeys(name for _, row, _ in rows for name, value in row.items() if value)
    if unused := [name or "one without a name" for name in filled if name not in used]:
        detail = f"columns that are not used: {', '.join(unused)}; used: {', '.join(used)}"
        listing.report("unused_column", path, detail)


def read_labels(
    path: Path, group_column: str | None, label_columns: Sequence[str], separator: str
) -> LabeledTable:
    """Read a table's rows and labels, as ``read_table`` says.

    Raises:
        DatasetError: a label cannot be read; the message names its line.
    """
    if path.suffix.lower() == ".json":
        return _read_coco(path, group_column, label_columns)
    columns = ["path"] if group_column is None else ["path", group_column]
    if label_columns:
        return _read_label_columns(path, columns, label_columns)

    header = read_header(path)
    (several,) = (column for column, task in BY_COLUMN.items() if not task.is_exclusive)
    if several not in header or SINGLE_LABEL.column in header:
        columns.insert(1, SINGLE_LABEL.column)
        rows = [
            LabeledRow(number, row, (normalize("NFC", row[SINGLE_LABEL.column]),))
            for number, row in read_rows(path, tuple(columns), optional=("split",))
        ]
        classes = tuple(sorted({name for each in rows for name in each.names}))
        return LabeledTable(SINGLE_LABEL, rows, classes, tuple(columns))

    task, rows = BY_COLUMN[several], []
    for number, row in read_rows(path, tuple(columns), optional=(several, "split")):
        names = task.names(normalize("NFC", row[several]), separator)
        _check_names(names, f"{path}, line {number}")
        rows.append(LabeledRow(number, row, names))
    classes = tuple(sorted({name.removeprefix(UNKNOWN_MARK) for row in rows for name in row.names}))
    if not classes:
        raise DatasetError(f"{path}: no row names a label in its column {several}")
    columns.insert(1, several)
    doubt = _doubt(rows, several, separator)
    return LabeledTable(task, rows, classes, tuple(columns), doubt)


def _read_coco(path: Path, group_column: str | None, label_columns: Sequence[str]) -> LabeledTable:
    """Read the categories that images show as their labels."""
    if group_column is not None or label_columns:
        raise ConfigError(f"csv={path} is COCO's JSON, which has no columns to name")
    classes, shown = read_presence(path)
    classes = tuple(normalize("NFC", name) for name in classes)
    _check_names(classes, str(path))
    rows = [
        LabeledRow(number, {"path": file}, tuple(normalize("NFC", name) for name in names))
        for number, (file, names) in enumerate(shown.items(), start=1)
    ]
    return LabeledTable(MultiLabel(), rows, classes, ("path",))


def _read_label_columns(
    path: Path, columns: list[str], label_columns: Sequence[str]
) -> LabeledTable:
    """Read labels that have a column each."""
    classes = tuple(normalize("NFC", name) for name in label_columns)
    _check_names(classes, f"{path}, dataset.label_columns")
    header = read_header(path)
    if missing := [name for name in label_columns if name.casefold() not in header]:
        raise DatasetError(
            f"{path} has the columns {name_some(header, 20)}; dataset.label_columns names "
            f"{name_some(missing)}, which it lacks"
        )

    rows = []
    for number, row in read_rows(path, tuple(columns), optional=(*label_columns, "split")):
        names = []
        for column, name in zip(label_columns, classes, strict=True):
            if row[column] not in CELLS:
                raise DatasetError(
                    f"{path}, line {number}: {column} must be 1, 0, or ? or nothing where it is "
                    f"unknown, got {row[column]!r}"
                )
            mark = CELLS[row[column]]
            if mark is not None:
                names.append(f"{mark}{name}")
        rows.append(LabeledRow(number, row, tuple(names)))
    columns = [columns[0], *label_columns, *columns[1:]]
    return LabeledTable(MultiLabel(), rows, classes, tuple(columns))


def _check_names(names: Sequence[str], where: str) -> None:
    """Refuse names of labels that cannot be written or are there twice."""
    bare = [name.removeprefix(UNKNOWN_MARK) for name in names]
    if not all(bare):
        raise DatasetError(f"{where}: a label has no name; there is a separator too many")
    if wrong := [name for name in bare if SEPARATOR in name or name.startswith(UNKNOWN_MARK)]:
        raise DatasetError(
            f"{where}: the name of a label must not have {SEPARATOR} in it or {UNKNOWN_MARK} "
            f"before it, got {wrong[0]!r}; rename it, or give another dataset.label_separator"
        )
    name, count = Counter(bare).most_common(1)[0] if bare else ("", 0)
    if count > 1:
        raise DatasetError(f"{where}: the label {name!r} is there {count} times; name it once")


def _doubt(rows: Sequence[LabeledRow], column: str, separator: str) -> str:
    """Say whether labels seem to be parted by something else."""
    if any(separator in row[column] for _, row, _ in rows):
        return ""
    for other in USUAL_SEPARATORS:
        first = next((each for each in rows if other in each.row[column]), None)
        if first is not None:
            return (
                f"line {first.number}: {first.row[column]!r} is one label, since no row has the "
                f"separator {separator!r}; if these are several, give "
                f"dataset.label_separator={other!r}"
            )
    return ""
