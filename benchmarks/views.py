"""Scores by the view of each image: which part of it a network is shown, and how large.

python tools/benchmark.py views --runs RUN [RUN ...] [--split val] [--output FILE]

The runs are trainings of one dataset with several seeds. Choose on the validation images, which are
the default; ``--split test`` then reads the test images, once. Each image is decoded once. Answers
of two passes are averaged from those of the single ones. Cost is the number of pixels that the
network works on, as a multiple of the first row's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.models.agnet import load_model
from agnet_vision.options.resolve import evaluation_options, run_options
from agnet_vision.predict.predictor import Predictor
from agnet_vision.structures import RGBImage
from agnet_vision.training.evaluate import table_to_score
from benchmarks.conditions import conditions, write_report

# In timm's words, as a network's data_config has them.
VIEWS = {
    "middle crop, 0.875": {"crop_mode": "center", "crop_pct": 0.875},
    "whole short side": {"crop_mode": "center", "crop_pct": 1.0},
    "whole, squeezed": {"crop_mode": "squash", "crop_pct": 1.0},
}
PAIRS = [("middle crop, 0.875", "whole, squeezed"), ("whole short side", "whole, squeezed")]
SCALES = (1.0, 1.2, 1.4, 1.6)  # side of a view over that of the training images
CHUNK = 32  # images in memory at a time
SCORES = ("mAP", "acc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--count", type=int, default=None, help="images of each run, at most")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--output", type=Path, default=None, help="write the raw numbers as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score all views, print a table, and add it to the file's."""
    torch.set_num_threads(arguments.threads)
    runs = [ViewedRun(folder, arguments.split, arguments.count) for folder in arguments.runs]
    if len({each.classes for each in runs}) > 1:
        raise ConfigError("runs must be trainings on one dataset, these have different classes")
    paths = sorted({path for each in runs for path in each.labels})

    for start in track(range(0, len(paths), CHUNK), console=Console(stderr=True)):
        images = {path: read_image(path) for path in paths[start : start + CHUNK]}
        for each in runs:
            each.look_at(images)

    rows = [summarize_row(runs, names, scale) for names in list_rows() for scale in SCALES]
    report = {"runs": len(runs), "images": len(paths), "rows": rows, "conditions": conditions(0)}
    print_table(rows, f"{arguments.split}, {len(paths):,} images, {len(runs)} runs")
    before = {}
    if arguments.output and arguments.output.is_file():
        before = json.loads(arguments.output.read_text())  # of the other split
    write_report({**before, arguments.split: report}, arguments.output)
    return report


class ViewedRun:
    """A trained network, the images of its split, and its answers to each of their views."""

    def __init__(self, folder: Path, split: str, count: int | None) -> None:
        model = load_model(folder).to(memory_format=torch.channels_last)
        self.classes = model.classes or ()
        config = evaluation_options({"checkpoint": str(folder), "split": split})
        samples = table_to_score(config, self.classes).splits[split][:count]
        self.labels = {sample.path: sample.label for sample in samples}
        self.seen: list[int] = []  # labels of the images so far

        channels, trained = model.data_config["input_size"][0], run_options(folder)["image_size"]
        self.predictors: dict[tuple[str, float], Predictor] = {}
        self.answers: dict[tuple[str, float], list[Float[np.ndarray, "images classes"]]] = {}
        for name, view in VIEWS.items():
            for scale in SCALES:
                side = round(scale * trained / 32) * 32
                model.data_config = {
                    **model.data_config,
                    **view,
                    "input_size": (channels, side, side),
                }
                self.predictors[name, scale] = Predictor(model, batch_size=8)
                self.answers[name, scale] = []

    def look_at(self, images: dict[Path, RGBImage]) -> None:
        """Answer to the images that are of this run's split."""
        own = [path for path in images if path in self.labels]
        if not own:
            return
        self.seen += [self.labels[path] for path in own]
        for view, predictor in self.predictors.items():
            outputs = predictor.outputs([images[path] for path in own])
            self.answers[view].append(outputs.probabilities)

    def score(self, names: Sequence[str], scale: float) -> dict[str, float]:
        """Score the mean of the answers to views of one size."""
        each = [np.concatenate(self.answers[name, scale]).astype(float) for name in names]
        label, mean = torch.tensor(self.seen), torch.from_numpy(np.mean(each, axis=0))
        scores = score(Predictions(torch.arange(len(label)), label, mean), self.classes)
        return {name: scores[name] for name in SCORES}


def list_rows() -> list[tuple[str, ...]]:
    """List what is averaged in each row: single views, then pairs."""
    return [(name,) for name in VIEWS] + PAIRS


def summarize_row(runs: Sequence[ViewedRun], names: Sequence[str], scale: float) -> dict[str, Any]:
    """Reduce a row's scores over the runs to mean and deviation."""
    scores = [each.score(names, scale) for each in runs]
    side = runs[0].predictors[names[0], scale].preparation.transform.image_size
    first = runs[0].predictors[next(iter(VIEWS)), SCALES[0]].preparation.transform.image_size
    row: dict[str, Any] = {
        "views": list(names),
        "scale": scale,
        "side": side,
        "cost": round(len(names) * (side / first) ** 2, 2),
    }
    for name in SCORES:
        values = [100 * each[name] for each in scores]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        row[name] = {"mean": float(np.mean(values)), "std": spread, "runs": values}
    return row


def print_table(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print a line per row in Markdown's columns: views, side, cost and scores."""
    table = Table("views", "side", "cost", *(f"{name} %" for name in SCORES), title=title)
    for row in rows:
        scores = [row[name] for name in SCORES]
        cells = [f"{s['mean']:.2f} ± {s['std'] or float('nan'):.2f}" for s in scores]
        table.add_row(" + ".join(row["views"]), str(row["side"]), f"{row['cost']:.2f}", *cells)
    Console(width=120).print(table)
