"""Predictions written as they come and read back, and a spreadsheet runs none."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.errors import ConfigError
from agnet_vision.predict.predictor import Prediction
from agnet_vision.predict.table import (
    PredictionWriter,
    _as_text,
    _from_text,
    read_predictions,
    split_columns,
    write_embeddings,
    write_predictions,
)
from agnet_vision.task import SINGLE_LABEL

NAMES = ("=1+1", "+cmd", "-2", "@sum", "'=x", 'say "a, b"', "two\nlines", "true", "")
CLASSES = ("ant", "bee, wild", "=cat")


@pytest.fixture
def predictions() -> list[Prediction]:
    """A prediction, and a file that could not be read."""
    probabilities, embedding = np.array([0.2, 0.5, 0.3], np.float32), np.arange(4, dtype=np.float32)
    return [
        Prediction(Path("a.png"), CLASSES, probabilities, embedding),
        Prediction(Path("b.png"), CLASSES, None, error="not an image"),
    ]


def test_value_a_split_reads_back_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    probability = np.random.default_rng(0).random((len(NAMES), len(NAMES))).astype(np.float32)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = PredictionWriter(file, split_columns(SINGLE_LABEL), NAMES)
        for name, row in zip(NAMES, probability, strict=True):
            writer.write(f"{name}.jpg", name, NAMES[row.argmax()], probabilities=row)

    found = read_predictions(path)
    assert found.classes == NAMES
    assert found.paths == [f"{name}.jpg" for name in NAMES]
    np.testing.assert_array_equal(found.label, np.arange(len(NAMES)))
    np.testing.assert_array_equal(found.probability, probability)

    with path.open(newline="", encoding="utf-8") as file:
        columns = split_columns(SINGLE_LABEL)
        cells = [row[column] for row in csv.DictReader(file) for column in columns]
    assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []
    assert "-2" in cells  # a number stays one


@settings(max_examples=200)
@given(st.text(alphabet="'=+-@\t\ra1.", max_size=6))
def test_value_escaping_is_undone(text: str) -> None:
    assert _from_text(_as_text(text)) == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged or was cut off"),
        ("path,label,predicted,probability_a\n", "must have rows and the columns"),
        ("path,label,probability_a\nx,a,1\n", "must have rows and the columns"),
        ('path,label,predicted,probability_a\nx,a,"a', "damaged or was cut off"),
        ("path,label,predicted,probability_a\nx,b,a,0.5\n", "damaged or was cut off: 'b'"),
        ("path,label,predicted,probability_a\nx,a,a,\n", "damaged or was cut off"),
    ],
)
def test_raises_on_what_is_no_such_table(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_predictions(path)


def test_value_rows_read_back(predictions: list[Prediction]) -> None:
    file = io.StringIO(newline="")
    assert list(write_predictions(predictions, file, "csv")) == predictions
    first, second = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert (first["predicted"], first["probability_bee, wild"]) == ("bee, wild", "0.5")
    assert (second["error"], second["probability_ant"]) == ("not an image", "")

    file = io.StringIO()
    assert list(write_predictions(predictions, file, "jsonl")) == predictions
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first["probabilities"]["=cat"] == pytest.approx(0.3)
    assert second == {"path": "b.png", "predicted": None, "error": "not an image"}


def test_value_embeddings_are_rows_in_order(predictions: list[Prediction], tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    assert list(write_embeddings(predictions, path, (2, 4))) == predictions
    found = np.load(path)
    assert found[0].tolist() == [0, 1, 2, 3]
    assert np.isnan(found[1]).all()
