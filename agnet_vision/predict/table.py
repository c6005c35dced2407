"""Predictions as files: CSV of single images and whole splits, lines of JSON, embeddings.

**Formulas.** Names of files and classes may come from strangers, and a spreadsheet runs a cell
that begins with ``=``, ``+``, ``-`` or ``@``. Such a text is written with an apostrophe before it,
which spreadsheets take for "this is text"; ``read_predictions`` takes it away again. Numbers such
as ``-1`` are written as they are.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from agnet_vision.errors import ConfigError
from agnet_vision.predict.predictor import Prediction
from agnet_vision.task import BY_COLUMN, SEPARATOR, SINGLE_LABEL, Task

PROBABILITY = "probability_"  # before the name of a class, in the header
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class PredictionWriter:
    """Writer of a CSV of text columns followed by one probability per class.

    The file must be open for writing text, with ``newline=""``.
    """

    def __init__(self, file: IO[str], columns: Sequence[str], classes: Sequence[str]) -> None:
        self._writer = csv.writer(file)
        self._empty = [""] * len(classes)
        self._writer.writerow([*columns, *(f"{PROBABILITY}{name}" for name in classes)])

    def write(self, *texts: str, probabilities: Iterable[float] | None) -> None:
        """Write a row; without probabilities their cells stay empty."""
        # Nine digits give every 32-bit number back exactly.
        numbers = self._empty if probabilities is None else [f"{p:.9g}" for p in probabilities]
        self._writer.writerow([*map(_as_text, texts), *numbers])


class PredictionTable(NamedTuple):
    """The predictions of a split, read back; labels are what the task makes of their names."""

    classes: tuple[str, ...]
    paths: list[str]
    label: Int[np.ndarray, "images ..."]
    probability: Float[np.ndarray, "images classes"]


def split_columns(task: Task) -> list[str]:
    """Name the columns of the table of a split that stand before the probabilities."""
    return ["path", task.column, "predicted"]


def read_predictions(path: Path) -> PredictionTable:
    """Read the table of a split: path, label, what was predicted, and probabilities.

    Raises:
        ConfigError: the file is not such a table, or was cut off.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, strict=True)

        columns = split_columns(BY_COLUMN.get(header[1] if len(header) > 1 else "", SINGLE_LABEL))
        start, task = len(columns), BY_COLUMN[columns[1]]
        if header[:start] != columns or not rows:
            raise ValueError(f"it must have rows and the columns {', '.join(columns)}, ...")
        classes = tuple(name.removeprefix(PROBABILITY) for name in header[start:])
        number = {name: k for k, name in enumerate(classes)}
        numbers = np.array([row[start:] for row in rows], np.float32)

        return PredictionTable(
            classes,
            paths=[_from_text(row[0]) for row in rows],
            label=np.array([task.label(task.names(_from_text(row[1])), number) for row in rows]),
            probability=numbers.reshape(len(rows), len(classes)),
        )
    except (csv.Error, KeyError, ValueError) as error:
        raise ConfigError(f"{path} is damaged or was cut off: {error}") from error


def write_predictions(
    predictions: Iterable[Prediction], file: IO[str], form: Literal["csv", "jsonl"]
) -> Iterator[Prediction]:
    """Write each prediction as it comes, and pass it on, so that none need be kept.

    The file must be open for writing text, with ``newline=""``; ``jsonl`` is an object per line.
    """
    writer = None
    for each in predictions:
        if form == "jsonl":
            content: dict[str, Any] = {
                "path": str(each.path),
                "predicted": _predicted(each),
                "error": each.error,
            }
            if each.probabilities is not None:
                pairs = zip(each.classes, each.probabilities.tolist(), strict=True)
                content["probabilities"] = dict(pairs)
            file.write(json.dumps(content, ensure_ascii=False) + "\n")
        else:
            writer = writer or PredictionWriter(file, ("path", "predicted", "error"), each.classes)
            texts = (str(each.path), SEPARATOR.join(each.predicted), each.error or "")
            writer.write(*texts, probabilities=each.probabilities)

        yield each


def write_embeddings(
    predictions: Iterable[Prediction], path: Path | str, shape: tuple[int, int]
) -> Iterator[Prediction]:
    """Write each embedding into a ``.npy`` file as it comes, and pass its prediction on.

    Row k belongs to prediction k, and is NaN where the file is unreadable.

    Args:
        shape: number of predictions, and length of an embedding.
    """
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    rows[:] = np.nan
    for row, prediction in zip(rows, predictions, strict=True):
        if prediction.embedding is not None:
            row[:] = prediction.embedding
        yield prediction
    rows.flush()


def _predicted(prediction: Prediction) -> str | list[str] | None:
    """Return the class, or the list of labels; None for an unreadable file."""
    if prediction.error is not None:
        return None
    return prediction.predicted[0] if prediction.task.is_exclusive else prediction.predicted


def _as_text(text: str) -> str:
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def _from_text(cell: str) -> str:
    escaped = cell.startswith("'") and _is_formula(cell.lstrip("'"))
    return cell[1:] if escaped else cell


def _is_formula(text: str) -> bool:
    """Tell whether a spreadsheet would compute this text; a plain number is none."""
    if not text.startswith(FORMULA_STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
