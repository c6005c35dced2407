"""Read back what training or evaluation left in a run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from jaxtyping import Float, Int

from agnet_vision.data.sources.card import dataset_root
from agnet_vision.errors import ConfigError
from agnet_vision.training.artifacts import read_history

PREFIX = "probability_"


@dataclass(frozen=True)
class Run:
    """A run, as its files tell it.

    Attributes:
        folder: of the run.
        scores: ``metrics.json``.
        record: ``run.json``: versions, hardware, command, seed, wall time.
        config: ``config.yaml`` as text; empty after a plain evaluation.
        history: one row an epoch; empty after a plain evaluation.
        classes: names.
        paths: of the pictures, relative to the dataset's root where they lie in it.
        label: index of the true class.
        probability: of each class.
    """

    folder: Path
    scores: dict[str, Any]
    record: dict[str, Any]
    config: str
    history: list[dict[str, float]]
    classes: tuple[str, ...]
    paths: list[str]
    label: Int[np.ndarray, " pictures"]
    probability: Float[np.ndarray, "pictures classes"]

    @property
    def predicted(self) -> Int[np.ndarray, " pictures"]:
        """Return the most probable class of each picture."""
        return self.probability.argmax(axis=1)

    @property
    def checkpoint(self) -> Path:
        """Return where the weights are: in the run's folder, or where the evaluation took them from."""
        return Path(self.scores.get("checkpoint", self.folder / "best.ckpt"))

    def root(self) -> Path:
        """Find the dataset's root: as recorded, or its default home."""
        return dataset_root(self.scores["dataset"], self.scores.get("root"))


def read_run(folder: Path | str) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: it is not the folder of a finished run.
    """
    folder = Path(folder)
    for name in ("metrics.json", "predictions.csv"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"{folder} has no {name}; give the folder of a run whose test or evaluation finished"
            )
    classes, paths, label, probability = _read_predictions(folder / "predictions.csv")
    record, config = folder / "run.json", folder / "config.yaml"
    return Run(
        folder=folder,
        scores=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        record=json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {},
        config=config.read_text(encoding="utf-8") if config.is_file() else "",
        history=read_history(folder),
        classes=classes,
        paths=paths,
        label=label,
        probability=probability,
    )


def _read_predictions(
    path: Path,
) -> tuple[
    tuple[str, ...], list[str], Int[np.ndarray, " pictures"], Float[np.ndarray, "pictures classes"]
]:
    """Read ``path,label,predicted`` and the probability columns."""
    # Names of classes and files may look like numbers.
    text = dict.fromkeys(("path", "label", "predicted"), pa.string())
    table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=text))
    columns = [name for name in table.column_names if name.startswith(PREFIX)]
    if not columns or not set(text) <= set(table.column_names) or not len(table):
        raise ConfigError(
            f"{path} must have rows and the columns path, label, predicted and {PREFIX}<class>"
        )
    classes = tuple(name[len(PREFIX) :] for name in columns)
    number = {name: k for k, name in enumerate(classes)}
    label = np.array([number[name] for name in table["label"].to_pylist()])
    probability = np.stack([table[name].to_numpy().astype(np.float32) for name in columns], axis=1)
    return classes, table["path"].to_pylist(), label, probability
