"""Read the splits that publishers give as lists of files."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import DatasetError


class ListedFiles:
    """Collect listed files into a listing; a file that is not there, or listed twice, becomes a problem.

    Existence is answered from one directory listing per folder: 100,000 questions cost seconds even on a network disk.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._names: dict[str, frozenset[str]] = {}
        self._seen: dict[Path, tuple[str, str]] = {}

    def has(self, path: Path) -> bool:
        """Tell whether ``path`` exists, in exactly this spelling."""
        folder = str(path.parent)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (
                OSError,
                ValueError,
            ):  # no such folder, or a name no file system can hold: nothing is there
                self._names[folder] = frozenset()
        return path.name in self._names[folder]

    def add(
        self, split: str, path: Path, label: int, *, list_name: str, group: str | None = None
    ) -> None:
        """Add one listed file to a split."""
        first = self._seen.setdefault(path, (split, list_name))
        if first[0] != split:
            detail = f"listed for {first[0]} in {first[1]} and for {split} in {list_name}"
            self.listing.report("overlap", path, detail)
        elif first[1] != list_name:
            self.listing.report("wrong_list", path, f"listed in {first[1]} and in {list_name}")
        if not self.has(path):
            self.listing.report("missing_file", path, f"listed in {list_name}, not on disk")
        else:
            self.listing.splits.setdefault(split, []).append(Sample(path, label, group))


def read_rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV with a header: every row with its line number.

    Raises:
        DatasetError: it is not a CSV in UTF-8, a column is missing, or a row has no value in one of ``columns``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            present = reader.fieldnames or ()
            rows = [(reader.line_num, _stripped(row)) for row in reader]
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not a UTF-8 text file (byte {error.start}); save it as UTF-8"
        ) from error
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
    """Drop the blanks around the values of named columns: "ant" and "ant " are one class."""
    return {name: value.strip() if isinstance(value, str) else value for name, value in row.items()}


def read_lines(path: Path) -> list[str]:
    """Read the non-empty lines of a text file; a byte-order mark and Windows line ends are dropped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not a UTF-8 text file (byte {error.start}); save it as UTF-8"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
