"""The CSV of predictions, of single images and whole splits.

**Formulas.** Names of files and classes may come from strangers, and a spreadsheet runs a cell
that begins with ``=``, ``+``, ``-`` or ``@``. Such a text is written with an apostrophe before it,
which spreadsheets take for "this is text"; ``read_predictions`` takes it away again. Numbers such
as ``-1`` are written as they are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float, Int

from agnet_vision.errors import ConfigError

PROBABILITY = "probability_"  # before the name of a class, in the header
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class PredictionWriter:
    """Writer of text columns, then one probability a class.

    Args:
        file: open for writing text, with ``newline=""``.
        columns: names of the text columns, such as ``path``, ``label``, ``predicted``.
        classes: names of the classes in the order of the probabilities.
    """

    def __init__(self, file: IO[str], columns: Sequence[str], classes: Sequence[str]) -> None:
        self._writer = csv.writer(file)
        self._empty = [""] * len(classes)
        self._writer.writerow([*columns, *(f"{PROBABILITY}{name}" for name in classes)])

    def write(self, *texts: str, probabilities: Iterable[float] | None) -> None:
        """Write a row.

        Without probabilities their cells stay empty.
        """
        # Nine digits give every 32-bit number back exactly.
        numbers = self._empty if probabilities is None else [f"{p:.9g}" for p in probabilities]
        self._writer.writerow([*map(_as_text, texts), *numbers])


class PredictionTable(NamedTuple):
    """The predictions of a split, read back.

    Attributes:
        classes: names.
        paths: of the images, as they were written.
        label: index of the true class.
        probability: of each class.
    """

    classes: tuple[str, ...]
    paths: list[str]
    label: Int[np.ndarray, " images"]
    probability: Float[np.ndarray, "images classes"]


def read_predictions(path: Path) -> PredictionTable:
    """Read ``path,label,predicted`` and the probability columns.

    Raises:
        ConfigError: it is not such a table, or was cut off.
    """
    columns = dict.fromkeys(("path", "label", "predicted"), pa.string())
    try:
        # Names of classes and files may look like numbers, and may hold line breaks.
        table = pa.csv.read_csv(
            path,
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=columns, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} is damaged or was cut off: {reason}") from error
    scores = [name for name in table.column_names if name.startswith(PROBABILITY)]
    if not scores or not set(columns) <= set(table.column_names) or not len(table):
        raise ConfigError(
            f"{path} must have rows and the columns path, label, predicted and {PROBABILITY}<class>"
        )
    for name in scores:
        kind = table[name].type
        if table[name].null_count or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise ConfigError(f"{path}: {name} must hold numbers in every row")
    classes = tuple(name.removeprefix(PROBABILITY) for name in scores)
    number = {name: k for k, name in enumerate(classes)}
    labels = [_from_text(name) for name in table["label"].to_pylist()]
    if unknown := set(labels) - set(number):
        raise ConfigError(f"{path} has the label {min(unknown)!r}, which no column is named after")
    probability = np.stack([table[name].to_numpy().astype(np.float32) for name in scores], axis=1)
    return PredictionTable(
        classes,
        [_from_text(name) for name in table["path"].to_pylist()],
        np.array([number[name] for name in labels]),
        probability,
    )


def _as_text(text: str) -> str:
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def _from_text(cell: str) -> str:
    escaped = cell.startswith("'") and _is_formula(cell.lstrip("'"))
    return cell[1:] if escaped else cell


def _is_formula(text: str) -> bool:
    """Tell whether a spreadsheet would compute this text.

    Not a plain number.
    """
    if not text.startswith(FORMULA_STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
