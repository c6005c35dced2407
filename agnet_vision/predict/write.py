"""Predictions written one by one, so that none are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from agnet_vision.predict.predictor import Prediction
from agnet_vision.predict.table import PredictionWriter


def write_rows(
    predictions: Iterable[Prediction], file: IO[str], form: Literal["csv", "jsonl"]
) -> Iterator[Prediction]:
    """Write each prediction as it comes, and pass it on.

    Args:
        predictions: from a ``Predictor``.
        file: open for writing text, with ``newline=""``.
        form: ``csv`` as in ``prediction_table``, or ``jsonl``: an object a line.
    """
    writer = None
    for row in predictions:
        best = row.top()[0][0] if row.error is None else None
        if form == "jsonl":
            file.write(json.dumps(_as_object(row, best), ensure_ascii=False) + "\n")
        else:
            writer = writer or PredictionWriter(file, ("path", "predicted", "error"), row.classes)
            texts = (str(row.path), best or "", row.error or "")
            writer.write(*texts, probabilities=row.probabilities)
        yield row


def write_embeddings(
    predictions: Iterable[Prediction], path: Path | str, shape: tuple[int, int]
) -> Iterator[Prediction]:
    """Write each embedding into a ``.npy`` file as it comes.

    Row k belongs to prediction k, which is passed on; NaN for an unreadable file.

    Args:
        predictions: from a ``Predictor``.
        path: of the file.
        shape: ``(len(paths), embedding_size(model))``.
    """
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    rows[:] = np.nan
    for row, prediction in zip(rows, predictions, strict=True):
        if prediction.embedding is not None:
            row[:] = prediction.embedding
        yield prediction
    rows.flush()


def _as_object(row: Prediction, best: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {"path": str(row.path), "predicted": best, "error": row.error}
    if row.probabilities is not None:
        pairs = zip(row.classes, row.probabilities.tolist(), strict=True)
        content["probabilities"] = dict(pairs)
    return content
