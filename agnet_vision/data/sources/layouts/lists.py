"""Splits that publishers give as lists of files."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import DatasetError


class ListedFiles:
    """Collector of listed files into a listing.

    What is wrong with a file becomes a problem. A file that is not there is left out. One listed
    twice for a split counts once; one listed for two splits counts in both, as published. Existence
    is answered from one directory listing per folder: 100,000 questions cost seconds even on a
    network disk.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._names: dict[str, frozenset[str]] = {}
        self._seen: dict[Path, dict[str, tuple[str, int]]] = {}

    def has(self, path: Path) -> bool:
        """Tell whether ``path`` exists, in exactly this spelling."""
        folder = str(path.parent)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (OSError, ValueError):
                # No such folder, or a name that no file system can hold: nothing is there.
                self._names[folder] = frozenset()
        return path.name in self._names[folder]

    def add(
        self, split: str, path: Path, label: int, *, list_name: str, group: str | None = None
    ) -> None:
        """Add one listed file to a split; problems name the list that says so."""
        before = self._seen.setdefault(path, {})
        if split in before:
            self._report_repeat(path, label, before[split], list_name)
            return
        for other, (other_list, other_label) in before.items():
            detail = f"listed for {other} in {other_list} and for {split} in {list_name}"
            self.listing.report("overlap", path, detail)
            if other_label != label:
                self._report_two_classes(path, other_list, list_name)
        before[split] = (list_name, label)

        if self.has(path):
            self.listing.splits.setdefault(split, []).append(Sample(path, label, group))
        else:
            self.listing.report("missing_file", path, f"listed in {list_name}, not on disk")

    def _report_repeat(
        self, path: Path, label: int, first: tuple[str, int], list_name: str
    ) -> None:
        """Record a file that one split names twice."""
        first_list, first_label = first
        if first_label != label:
            self._report_two_classes(path, first_list, list_name)
        else:
            where = " and in ".join(dict.fromkeys([first_list, list_name]))
            self.listing.report("listed_twice", path, f"listed twice in {where}; it counts once")

    def _report_two_classes(self, path: Path, first_list: str, list_name: str) -> None:
        detail = f"listed in {first_list} and in {list_name}, as two classes"
        self.listing.report("wrong_list", path, detail)


def read_rows(
    path: Path, columns: tuple[str, ...], *, strip: bool = True
) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV with a header into pairs of line number and row.

    Args:
        path: CSV in UTF-8.
        columns: columns that must be there, and have a value in every row.
        strip: whether blanks around values are dropped: "ant" and "ant " are one class.

    Raises:
        DatasetError: it is not a CSV in UTF-8, a column is missing, or a row has no value in one of
            ``columns``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            present = reader.fieldnames or ()
            rows = [(reader.line_num, _stripped(row) if strip else row) for row in reader]
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num + 1}: cannot be read as CSV ({error})"
        ) from error

    if missing := [column for column in columns if column not in present]:
        raise DatasetError(
            f"{path} has the columns {', '.join(present) or 'none'}; missing: {', '.join(missing)}"
        )

    for number, row in rows:
        if empty := [column for column in columns if not (row[column] or "").strip()]:
            raise DatasetError(
                f"{path}, line {number}: it has no {' and no '.join(empty)}; every row needs one"
            )
    return rows


def _stripped(row: dict[str, str]) -> dict[str, str]:
    """Drop the blanks around the values of named columns."""
    return {name: value.strip() if isinstance(value, str) else value for name, value in row.items()}


def read_lines(path: Path) -> list[str]:
    """Read the lines that are not empty, without byte-order mark and line ends."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    return DatasetError(f"{path} is not a UTF-8 text file (byte {error.start}); save it as UTF-8")
