"""Scores by the view of each image: which part of it a network is shown, and how large.

python tools/benchmark.py views --runs RUN [RUN ...] [--split test] [--output FILE]

The runs are trainings of one dataset with several seeds. Choose on the validation images, the
default; ``--split test`` is for what was chosen. Each image is decoded once, and the answers to two
views are averaged from those to each. Cost is the number of pixels that the network works on, as a
multiple of the first row's.
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
from agnet_vision.data.preprocessing import change_view
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
CROP, SHORT_SIDE, WHOLE = VIEWS
ROWS = ((CROP,), (SHORT_SIDE,), (WHOLE,), (CROP, WHOLE), (SHORT_SIDE, WHOLE))
CHUNK = 32  # images in memory at a time
SCORES = ("mAP", "acc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=(1.0, 1.2, 1.4, 1.6),
        help="sides of the views over that of the training images",
    )
    parser.add_argument("--count", type=int, default=None, help="images that are drawn, at most")
    parser.add_argument("--seed", type=int, default=0, help="seed of that draw")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--output", type=Path, default=None, help="write the raw numbers as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score all views, print a table, and add it to the file's."""
    torch.set_num_threads(arguments.threads)
    runs = [ViewedRun(folder, arguments.split, arguments.scales) for folder in arguments.runs]
    if len({each.classes for each in runs}) > 1:
        raise ConfigError("runs must be trainings on one dataset, these have different classes")
    paths = sorted({path for each in runs for path in each.labels})
    chosen = np.random.default_rng(arguments.seed).permutation(len(paths))[: arguments.count]

    for start in track(range(0, len(chosen), CHUNK), console=Console(stderr=True)):
        images = {paths[k]: read_image(paths[k]) for k in chosen[start : start + CHUNK]}
        for each in runs:
            each.look_at(images)

    rows = [summarize_row(runs, names, scale) for names in ROWS for scale in arguments.scales]
    about = {"runs": len(runs), "images": len(chosen), "rows": rows}
    report = {**about, "conditions": conditions(arguments.seed)}
    print_table(rows, f"{arguments.split}, {len(chosen):,} images, {len(runs)} runs")
    before = {}
    if arguments.output and arguments.output.is_file():
        before = json.loads(arguments.output.read_text())  # of the other split
    write_report({**before, arguments.split: report}, arguments.output)
    return report


class ViewedRun:
    """A trained network, the images of its split, and its answers to each of their views."""

    def __init__(self, folder: Path, split: str, scales: Sequence[float]) -> None:
        model = load_model(folder).to(memory_format=torch.channels_last)
        self.classes = model.classes or ()
        config = evaluation_options({"checkpoint": str(folder), "split": split})
        samples = table_to_score(config, self.classes).splits[split]
        self.labels = {sample.path: sample.label for sample in samples}
        self.seen: list[int] = []  # labels of the images so far

        self.trained: int = run_options(folder)["image_size"]
        self.sides = {scale: round(scale * self.trained / 32) * 32 for scale in scales}
        self.predictors: dict[tuple[str, float], Predictor] = {}
        self.answers: dict[tuple[str, float], list[Float[np.ndarray, "images classes"]]] = {}
        for scale, side in self.sides.items():
            for name, view in VIEWS.items():
                model.data_config = change_view(model.data_config, image_size=side) | view
                self.predictors[name, scale] = Predictor(model, batch_size=8)
                self.answers[name, scale] = []

    def look_at(self, images: dict[Path, RGBImage]) -> None:
        """Answer to the images that are of this run's split."""
        own = [path for path in images if path in self.labels]
        self.seen += [self.labels[path] for path in own]
        for view, predictor in self.predictors.items() if own else ():
            outputs = predictor.outputs([images[path] for path in own])
            self.answers[view].append(outputs.probabilities)

    def score(self, names: Sequence[str], scale: float) -> dict[str, float]:
        """Score the mean of the answers to views of one size."""
        each = [np.concatenate(self.answers[name, scale]).astype(float) for name in names]
        label, mean = torch.tensor(self.seen), torch.from_numpy(np.mean(each, axis=0))
        scores = score(Predictions(torch.arange(len(label)), label, mean), self.classes)
        return {name: scores[name] for name in SCORES}


def summarize_row(runs: Sequence[ViewedRun], names: Sequence[str], scale: float) -> dict[str, Any]:
    """Reduce a row's scores over the runs to mean and deviation."""
    side = runs[0].sides[scale]
    cost = len(names) * (side / runs[0].trained) ** 2
    row: dict[str, Any] = {"views": names, "side": side, "cost": cost}
    scores = [each.score(names, scale) for each in runs]
    for name in SCORES:
        values = [100 * each[name] for each in scores]
        spread = np.std(values, ddof=len(values) > 1)
        row[name] = {"mean": np.mean(values), "std": spread, "runs": values}
    return row


def print_table(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print a line per row: views, side, cost and scores."""
    table = Table("views", "side", "cost", *(f"{name} %" for name in SCORES), title=title)
    for row in rows:
        scores = [f"{row[name]['mean']:.2f} ± {row[name]['std']:.2f}" for name in SCORES]
        table.add_row(" + ".join(row["views"]), str(row["side"]), f"{row['cost']:.2f}", *scores)
    Console(width=120).print(table)
