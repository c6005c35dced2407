"""The files of a run folder: their names, and how they are written and read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Bool, Float, Int

from agnet_vision.data.sources.card import dataset_root
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import Predictions
from agnet_vision.files import open_atomically, write_atomically
from agnet_vision.predict.table import PredictionWriter, read_predictions, split_columns
from agnet_vision.task import SEPARATOR, SINGLE_LABEL, Task, task_from


class RunFolder:
    """The files of a run, under the names that all of the library uses.

    ``metrics.json`` is written last of all and taken away before anything it speaks of changes:
    where it stands, the run was tested and ``predictions.csv`` is whole.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"  # resolved options
        self.splits = self.path / "splits.csv"  # images of each split
        self.record = self.path / "run.json"  # versions, hardware, command, seed, wall time
        self.last = self.path / "last.ckpt"  # to go on from
        self.best = self.path / "best.ckpt"  # network of the best epoch
        self.metrics = self.path / "metrics.json"  # scores
        self.predictions = self.path / "predictions.csv"  # what the network says of each image
        self.report = self.path / "report.html"
        self.views = self.path / "views.png"  # first training views, with their regions
        self.curves = self.path / "curves.png"
        self.confusion = self.path / "confusion.png"
        self.correction = self.path / "correction.json"  # what a correction cost and changed
        self.suspects = self.path / "suspects.csv"  # concentrated evidence, as marks to be edited
        self.probe = self.path / "probe.json"  # heads that were compared, and the chosen one

    def is_tested(self) -> bool:
        """Tell whether scores and the predictions behind them are written."""
        return self.metrics.is_file() and self.predictions.is_file()

    def write_config(self, text: str) -> None:
        """Write the resolved options of the run."""
        write_atomically(self.config, text)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write what the run ran on."""
        write_atomically(self.record, _as_json(record))

    def report_against(self, baseline: RunFolder) -> Path:
        """Return the place of the report that sets another run beside this one."""
        return self.path / f"report_against_{baseline.path.resolve().name}.html"

    @property
    def before(self) -> RunFolder:
        """Return the folder of the scores before a correction."""
        return RunFolder(self.path / "before")

    def write_correction(self, content: Mapping[str, Any]) -> None:
        """Write what a correction cost and changed."""
        write_atomically(self.correction, _as_json(content))

    def write_probe(self, content: Mapping[str, Any]) -> None:
        """Write which heads were compared."""
        write_atomically(self.probe, _as_json(content))

    def read_correction(self) -> dict[str, Any]:
        """Read what a correction cost and changed; empty where the run is none."""
        return _read_json(self.correction) if self.correction.is_file() else {}

    def read_record(self) -> dict[str, Any]:
        """Read what the run ran on; empty where it is not recorded."""
        return _read_json(self.record) if self.record.is_file() else {}

    def write_results(
        self,
        scores: Mapping[str, Any],
        predictions: Predictions,
        paths: Sequence[Path],
        classes: Sequence[str],
        root: Path,
        task: Task = SINGLE_LABEL,
    ) -> None:
        """Write scores and predictions, so that no other test's scores lie beside them.

        Args:
            scores: scores of ``score``, and whatever else ``metrics.json`` is to say.
            paths: paths of the images, by their number in ``predictions.sample``.
            root: root of the dataset, which paths inside it are written relative to.
            task: what labels and probabilities mean.
        """
        table = io.StringIO(newline="")
        writer = PredictionWriter(table, split_columns(task), classes)
        numbers, labels = predictions.sample.tolist(), predictions.label.tolist()
        rows = predictions.probability.numpy()
        for number, label, probabilities in zip(numbers, labels, rows, strict=True):
            path = paths[number]
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            predicted = SEPARATOR.join(task.decided(probabilities, classes))
            true = task.text(label, classes)
            writer.write(shown.as_posix(), true, predicted, probabilities=probabilities.tolist())

        # The inner file takes its name first.
        with open_atomically(self.metrics) as metrics, open_atomically(self.predictions) as content:
            metrics.write(_as_json(scores).encode())
            content.write(table.getvalue().encode())
            self.metrics.unlink(missing_ok=True)

    def read_metrics(self) -> dict[str, Any]:
        """Read the scores of the test.

        Raises:
            ConfigError: there are none, or the file is damaged.
        """
        return _read_json(_finished(self.metrics))

    def read_results(self) -> RunResults:
        """Read scores and predictions.

        Raises:
            ConfigError: the run is not finished, or its files are damaged.
        """
        scores = self.read_metrics()
        classes, paths, label, probability = read_predictions(_finished(self.predictions))
        return RunResults(
            folder=self,
            scores=scores,
            record=self.read_record(),
            config=self.config.read_text(encoding="utf-8") if self.config.is_file() else "",
            history=self.read_history(),
            classes=classes,
            paths=paths,
            label=label,
            probability=probability,
            task=task_from(scores.get("task", {}), len(classes)),
        )

    def read_history(self) -> list[dict[str, float]]:
        """Read what was logged at each epoch's end; after a resume the newer log counts."""
        epochs: dict[int, dict[str, float]] = {}
        for log in sorted(self.path.glob("csv/version_*/metrics.csv"), key=_version_number):
            with log.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    values = {key: float(value) for key, value in row.items() if value}
                    if any(key.startswith(("train/loss_epoch", "val/")) for key in values):
                        epochs.setdefault(int(values["epoch"]), {}).update(values)
        return [epochs[epoch] for epoch in sorted(epochs)]


@dataclass(frozen=True)
class RunResults:
    """What a tested run found, as its files tell it.

    Attributes:
        scores: content of ``metrics.json``.
        record: content of ``run.json``.
        config: ``config.yaml`` as text; empty after a plain evaluation.
        history: one row per epoch; empty after a plain evaluation.
        paths: paths of the images, relative to the dataset's root where they lie in it.
    """

    folder: RunFolder
    scores: dict[str, Any]
    record: dict[str, Any]
    config: str
    history: list[dict[str, float]]
    classes: tuple[str, ...]
    paths: list[str]
    label: Int[np.ndarray, "images ..."]
    probability: Float[np.ndarray, "images classes"]
    task: Task = SINGLE_LABEL

    @property
    def predicted(self) -> Int[np.ndarray, " images"]:
        """Return the most probable class of each image."""
        return self.probability.argmax(axis=1)

    @property
    def hits(self) -> Bool[np.ndarray, " images"]:
        """Tell which images were given their true class."""
        return self.predicted == self.label

    @property
    def checkpoint(self) -> Path:
        """Return the place of the tested weights, in this folder or elsewhere."""
        return Path(self.scores.get("checkpoint", self.folder.best))

    @property
    def monitor(self) -> str:
        """Return the score that chose the best epoch; the task's first where none is recorded."""
        options = yaml.safe_load(self.config) or {}
        return str(options.get("monitor") or self.task.headline[0])

    def rows_by_class(self) -> list[tuple[str, dict[str, Any]]]:
        """List the scores of the classes that have images, lowest average precision first."""
        rows = [(name, row) for name, row in self.scores["per_class"].items() if row["num_images"]]
        return sorted(rows, key=lambda pair: pair[1]["ap"])

    @property
    def root(self) -> Path:
        """Return the dataset's root, as recorded or its default home."""
        return dataset_root(self.scores["dataset"], self.scores.get("root"))


def _finished(file: Path) -> Path:
    """Refuse a folder without the file."""
    if not file.is_file():
        raise ConfigError(
            f"{file.parent} has no {file.name}; give the folder of a run whose test or evaluation "
            "finished, or let it finish"
        )
    return file


def _version_number(log: Path) -> int:
    return int(log.parent.name.split("_")[1])


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
