"""Predictions are read back, and a spreadsheet runs none."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.errors import ConfigError
from agnet_vision.predict.table import (
    PredictionTable,
    PredictionWriter,
    _as_text,
    _from_text,
    read_predictions,
)

COLUMNS = ("path", "label", "predicted")
NAMES = ("=1+1", "+cmd", "-2", "@sum", "'=x", 'say "a, b"', "two\nlines", "true", "")


def write(path: Path, names: tuple[str, ...] = NAMES) -> PredictionTable:
    probability = np.random.default_rng(0).random((len(names), len(names))).astype(np.float32)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = PredictionWriter(file, COLUMNS, names)
        for name, row in zip(names, probability, strict=True):
            writer.write(f"{name}.jpg", name, names[row.argmax()], probabilities=row)
    return PredictionTable(
        names, [f"{name}.jpg" for name in names], np.arange(len(names)), probability
    )


def test_value_names_and_numbers_read_back(tmp_path: Path) -> None:
    written = write(tmp_path / "predictions.csv")
    found = read_predictions(tmp_path / "predictions.csv")
    assert found.classes == written.classes
    assert found.paths == written.paths
    np.testing.assert_array_equal(found.label, written.label)
    np.testing.assert_array_equal(found.probability, written.probability)


def test_value_no_cell_is_a_formula(tmp_path: Path) -> None:
    write(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = [row[column] for row in rows for column in COLUMNS]
    assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []
    assert "-2" in cells  # a number stays one


@settings(max_examples=200)
@given(st.text(alphabet="'=+-@\t\ra1.", max_size=6))
def test_value_escaping_is_undone(text: str) -> None:
    assert _from_text(_as_text(text)) == text


def test_value_rows_without_probabilities_have_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = PredictionWriter(file, ("path", "predicted", "error"), ("a", "b"))
        writer.write("x.jpg", "", "no such file", probabilities=None)
    assert path.read_text().splitlines()[1] == "x.jpg,,no such file,,"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged or was cut off"),
        ("path,label,predicted,probability_a\n", "must have rows"),
        ("path,label,predicted\nx,a,a\n", "must have rows and the columns"),
        ("path,label,predicted,probability_a\nx,a,a\n", "damaged or was cut off"),
        ("path,label,predicted,probability_a\nx,b,a,0.5\n", "label 'b'"),
        ("path,label,predicted,probability_a\nx,a,a,half\n", "probability_a must hold numbers"),
        ("path,label,predicted,probability_a\nx,a,a,\n", "probability_a must hold numbers"),
    ],
)
def test_raises_on_what_is_no_such_table(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_predictions(path)
