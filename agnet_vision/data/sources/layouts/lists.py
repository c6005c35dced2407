"""Lists of files and rows of CSV tables, as text says what a dataset's images show."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from unicodedata import normalize

from agnet_vision.data.sources.listing import Listing, ProblemKind, Sample
from agnet_vision.errors import DatasetError, DatasetNotFoundError
from agnet_vision.task import Label


class ListedFiles:
    """Collector of listed files into a listing.

    What is wrong with a file becomes a problem. A file that is not there is left out. One listed
    twice for a split counts once; one listed for two splits counts in both, as published. Existence
    is answered from one directory listing per folder: 100,000 questions cost seconds even on a
    network disk.

    Args:
        listing: listing that takes files and problems.
        repeated: kind of problem that a file listed again is.
    """

    def __init__(self, listing: Listing, repeated: ProblemKind = "overlap") -> None:
        self.listing = listing
        self.repeated: ProblemKind = repeated
        self._folders: dict[str, dict[str, Path]] = {}
        self._seen: dict[Path, dict[str, tuple[str, Label]]] = {}

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
        self, split: str, path: Path, label: Label, *, list_name: str, group: str | None = None
    ) -> None:
        """Add one listed file to a split; problems name the list, or its line, that says so."""
        found = self.find(path)
        path = found or path
        before = self._seen.setdefault(path, {})
        for other, (other_list, other_label) in before.items():
            if other_label != label:
                detail = f"listed in {other_list} and in {list_name}, with different labels"
                self.listing.report("wrong_list", path, detail)
            else:
                detail = f"listed for {other} in {other_list} and for {split} in {list_name}"
                self.listing.report(self.repeated, path, detail)
        if split in before:
            return

        before[split] = (list_name, label)
        if found:
            self.listing.splits.setdefault(split, []).append(Sample(path, label, group))
        else:
            self.listing.report("missing_file", path, f"listed in {list_name}, not on disk")


def read_rows(
    path: Path, columns: tuple[str, ...], *, optional: tuple[str, ...] = (), strip: bool = True
) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV with a header into pairs of line number and row.

    A header may have blanks around its names, and capitals: " Path" is "path". Columns that nobody
    asks for keep their own names. Lines without any value are passed over.

    Args:
        columns: columns that must be there, and have a value in every row.
        optional: columns that may be there.
        strip: whether blanks around values are dropped: "ant" and "ant " are one class.

    Raises:
        DatasetNotFoundError: there is no such file.
        DatasetError: it is not a CSV in UTF-8, a column is missing or there twice, or a row has no
            value in one of ``columns``, or more values than the header has names.
    """
    if not path.is_file():
        raise DatasetNotFoundError(
            f"{path} does not exist; it must be a CSV with the columns {', '.join(columns)}"
        )
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
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


def read_header(path: Path) -> list[str]:
    """Read the names of a CSV's columns, without capitals; none where there is no file."""
    if not path.is_file():
        return []
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        cells = next((row for row in reader if any(map(str.strip, row))), [])
    except csv.Error:  # whoever reads the rows says what is wrong
        return []
    return [cell.strip().casefold() for cell in cells]


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


def read_lines(path: Path, listing: Listing) -> list[str]:
    """Read the lines of a list that are not empty; a missing list becomes a problem."""
    if not path.is_file():
        listing.report("missing_file", path, "this split list is missing")
        return []
    return [line.strip() for line in _read_text(path).splitlines() if line.strip()]


def _read_text(path: Path) -> str:
    """Read a text in UTF-8, whatever the machine's own encoding is."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not a UTF-8 text file (byte {error.start}); save it as UTF-8"
        ) from error
