"""Predictions written as they come."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import Prediction, Predictor, embedding_size
from agnet_vision.predict.write import write_embeddings, write_rows

CLASSES = ("ant", "bee, wild", "=cat")


@pytest.fixture
def predictions() -> list[Prediction]:
    """A prediction, and a file that could not be read."""
    probabilities, embedding = np.array([0.2, 0.5, 0.3], np.float32), np.arange(4, dtype=np.float32)
    return [
        Prediction(Path("a.png"), CLASSES, probabilities, embedding),
        Prediction(Path("b.png"), CLASSES, None, error="not an image"),
    ]


def test_value_csv_reads_back(predictions: list[Prediction]) -> None:
    file = io.StringIO(newline="")
    assert list(write_rows(predictions, file, "csv")) == predictions
    first, second = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert first["predicted"] == "bee, wild"
    assert float(first["probability_bee, wild"]) == 0.5
    assert second["error"] == "not an image"
    assert second["probability_ant"] == ""


def test_value_jsonl_reads_back(predictions: list[Prediction]) -> None:
    file = io.StringIO()
    assert list(write_rows(predictions, file, "jsonl")) == predictions
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first["probabilities"]["=cat"] == pytest.approx(0.3)
    assert second == {"path": "b.png", "predicted": None, "error": "not an image"}


def test_value_embeddings_are_rows_in_order(predictions: list[Prediction], tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    assert list(write_embeddings(predictions, path, (2, 4))) == predictions
    found = np.load(path)
    assert found[0].tolist() == [0, 1, 2, 3]
    assert np.isnan(found[1]).all()


def test_value_embeddings_are_what_the_linear_layer_sees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AGNet("test_resnet", 3, num_clusters=2).eval()
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    found = Predictor(model).outputs([image])
    assert found.embeddings.shape == (1, embedding_size(model))
    logits = model.head.classifier.linear(torch.from_numpy(found.embeddings))
    torch.testing.assert_close(logits.softmax(1), torch.from_numpy(found.probabilities))
