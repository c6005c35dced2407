"""Splits that publishers give as lists of files."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from pathlib import Path
from unicodedata import normalize

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
        self._folders: dict[str, dict[str, Path]] = {}
        self._seen: dict[Path, dict[str, tuple[str, int]]] = {}

    def find(self, path: Path) -> Path | None:
        """Find a file on disk, in this spelling or with its letters composed another way."""
        files = self._files(path.parent)
        return files.get(path.name) or files.get(normalize("NFC", path.name))

    def _files(self, folder: Path) -> dict[str, Path]:
        """Map each name in a folder, and the same name composed, to its path."""
        if str(folder) not in self._folders:
            real = folder if os.path.isdir(folder) or not folder.name else self.find(folder)
            try:
                names = os.listdir(real or folder)
            except (OSError, ValueError):
                # No such folder, or a name that no file system can hold: nothing is there.
                names = []
            paths = {name: (real or folder) / name for name in names}
            composed = {normalize("NFC", name): path for name, path in paths.items()}
            self._folders[str(folder)] = composed | paths
        return self._folders[str(folder)]

    def add(
        self, split: str, path: Path, label: int, *, list_name: str, group: str | None = None
    ) -> None:
        """Add one listed file to a split; problems name the list that says so."""
        found = self.find(path)
        path = found or path
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

        if found:
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
    path: Path, columns: tuple[str, ...], *, optional: tuple[str, ...] = (), strip: bool = True
) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV with a header into pairs of line number and row.

    A header may have blanks around its names, and capitals: " Path" is "path". Columns that nobody
    asks for keep their own names. Lines without any value are passed over.

    Args:
        path: CSV in UTF-8.
        columns: columns that must be there, and have a value in every row.
        optional: columns that may be there.
        strip: whether blanks around values are dropped: "ant" and "ant " are one class.

    Raises:
        DatasetError: it is not a CSV in UTF-8, a column is missing or there twice, or a row has no
            value in one of ``columns``, or more values than the header has names.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    except csv.Error as error:
        raise DatasetError(
            f"{path}, line {reader.line_num}: cannot be read as CSV ({error})"
        ) from error

    header = _header(path, lines[0][1] if lines else [], columns, optional)
    rows = []
    for number, cells in lines[1:]:
        if any(map(str.strip, cells[len(header) :])):
            raise DatasetError(
                f"{path}, line {number}: it has {len(cells)} values, the header has {len(header)}; "
                "put quotes around a value with a comma in it"
            )
        values = [cell.strip() for cell in cells] if strip else cells
        row = dict.fromkeys(header, "") | dict(zip(header, values, strict=False))
        if empty := [column for column in columns if not row[column].strip()]:
            raise DatasetError(
                f"{path}, line {number}: it has no {' and no '.join(empty)}; every row needs one"
            )
        rows.append((number, row))
    return rows


def _header(
    path: Path, cells: list[str], columns: tuple[str, ...], optional: tuple[str, ...]
) -> list[str]:
    """Name the columns of a CSV, those asked for as they are asked for."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:  # empty cells that a spreadsheet leaves
        names.pop()
    asked = (*optional, *columns)
    spellings = {name.strip().casefold(): name for name in asked}
    header = [name if name in asked else spellings.get(name.casefold(), name) for name in names]

    if missing := [column for column in columns if column not in header]:
        raise DatasetError(
            f"{path} has the columns {', '.join(names) or 'none'}; missing: {', '.join(missing)}"
        )
    if twice := [name for name in asked if header.count(name) > 1]:
        raise DatasetError(f"{path} has two columns called {twice[0]}; rename or delete one")
    return header


def report_unused_columns(
    path: Path, rows: list[tuple[int, dict[str, str]]], used: Collection[str], listing: Listing
) -> None:
    """Record the columns with values that are not among the ``used`` ones."""
    filled = dict.fromkeys(name for _, row in rows for name, value in row.items() if value)
    if unused := [name or "one without a name" for name in filled if name not in used]:
        detail = f"columns that are not used: {', '.join(unused)}; used: {', '.join(used)}"
        listing.report("unused_column", path, detail)


def read_lines(path: Path) -> list[str]:
    """Read the lines that are not empty, without byte-order mark and line ends."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    return DatasetError(f"{path} is not a UTF-8 text file (byte {error.start}); save it as UTF-8")
