"""What marks correct: a painted label tells the class in training, and contradicts it in the test.

python tools/benchmark.py guide --photographs STANFORD40 --weights mobilenetv2_100_in1k.pth

The actions of Stanford-40 in ten classes of four. A colored label on 3 % of the area, anywhere,
tells the class of 95 % of the training images; in the test it names another class ("against"), or
is not there ("clean"). One network per seed is trained on it, and corrected by marks on a share of
the training images: the label's box, the cell of a 5 x 5 grid that holds its middle (a click), or a
random box. Beside it: the last layer trained again without marks, on the marked images alone with
balanced classes and labels (DFR, Kirichenko et al., 2023), and on all images without what the
marked cells bring.
"""

from __future__ import annotations

import argparse
import colorsys
import csv
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

import agnet_vision
from agnet_vision.data.sources.listing import Sample, image_name
from agnet_vision.data.sources.split_list import read_split_list
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.options.resolve import correction_options
from agnet_vision.training.correct import Correction, fit_corrected
from agnet_vision.training.embeddings import Embeddings
from agnet_vision.training.last_layer import Layer
from agnet_vision.training.opened_run import OpenedRun
from benchmarks.conditions import conditions, write_report

# Ten classes of four actions each, that look alike.
CLASSES = {
    "device": ("phoning", "taking_photos", "texting_message", "using_a_computer"),
    "kitchen": ("cooking", "cutting_vegetables", "pouring_liquid", "washing_dishes"),
    "mouth": ("blowing_bubbles", "brushing_teeth", "drinking", "smoking"),
    "desk": ("looking_through_a_microscope", "reading", "watching_TV", "writing_on_a_book"),
    "stage": ("applauding", "playing_guitar", "playing_violin", "writing_on_a_board"),
    "wheels": ("fixing_a_bike", "fixing_a_car", "pushing_a_cart", "riding_a_bike"),
    "work": ("cleaning_the_floor", "cutting_trees", "gardening", "holding_an_umbrella"),
    "animals": ("feeding_a_horse", "fishing", "riding_a_horse", "walking_the_dog"),
    "sport": ("jumping", "running", "shooting_an_arrow", "throwing_frisby"),
    "outdoors": ("climbing", "looking_through_a_telescope", "rowing_a_boat", "waving_hands"),
}
TESTED = 50  # test images of each action
AGREES = 0.95  # share of training images whose label tells their class
AREA = 0.03  # of a label
GRID = 5
WAYS = (
    *(("box", 0.01), ("box", 0.05), ("box", 0.2)),
    *(("click", 0.01), ("click", 0.05), ("random", 0.05)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--photographs", type=Path, required=True, help="root of stanford40")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNetV2 of ImageNet")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/guide"), help="folder to work in"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--model", default="backbone_only", help="variant of the network")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/guide.json"))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, correct, test, print a table and write the numbers."""
    data = arguments.work / "images"
    labels = paint(arguments.photographs, data)
    rows = []
    for seed in arguments.seeds:
        folder = arguments.work / f"{arguments.model}_{seed}"
        if not (folder / "best.ckpt").is_file():
            _train(arguments, data / "train", folder, seed)
        rows += [{"seed": seed, **row} for row in _corrections(folder, data, labels, seed)]

    names = ("accuracy_against", "fooled", "accuracy_clean", "weight", "seconds_fit")
    table = Table("seed", "marks", *names)
    for row in rows:
        table.add_row(str(row["seed"]), row["marks"], *(f"{row[name]:.3f}" for name in names))
    Console().print(table)
    content = {"conditions": conditions(seed=arguments.seeds[0]), "rows": rows}
    write_report(content, arguments.output)
    return content


def paint(photographs: Path, folder: Path) -> dict[str, tuple[tuple[float, ...], int]]:
    """Paint the labels, and return box (fractions) and class of each by the image's name."""
    generator = np.random.default_rng(0)
    labels = {}
    for number, (name, actions) in enumerate(sorted(CLASSES.items())):
        others = [k for k in range(len(CLASSES)) if k != number]
        for part, most in (("train", None), ("test", TESTED)):
            lists = [photographs / "ImageSplits" / f"{each}_{part}.txt" for each in actions]
            for file in [file for each in lists for file in each.read_text().split()[:most]]:
                image = Image.open(photographs / "JPEGImages" / file).convert("RGB")
                agrees = part == "train" and generator.random() < AGREES
                shown = number if agrees else int(generator.choice(others))
                painted, box = _label(image, shown, generator)
                kinds = (
                    {"train": painted} if part == "train" else {"against": painted, "clean": image}
                )
                for kind, content in kinds.items():
                    path = folder / kind / name / file
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if not path.exists():
                        content.save(path, quality=90)
                    labels[f"{kind}/{name}/{file}"] = (box, shown)
    return labels


def _label(
    image: Image.Image, shown: int, generator: np.random.Generator
) -> tuple[Image.Image, tuple[float, ...]]:
    """Paint one label, of a color that names a class."""
    image = image.copy()
    width, height = image.size
    aspect = generator.uniform(0.6, 1.7)
    wide = int((AREA * width * height * aspect) ** 0.5)
    high = int((AREA * width * height / aspect) ** 0.5)
    x, y = int(generator.integers(0, width - wide)), int(generator.integers(0, height - high))
    color = colorsys.hsv_to_rgb(shown / len(CLASSES), 0.9, 0.9)
    draw = ImageDraw.Draw(image)
    draw.rectangle([x, y, x + wide, y + high], fill=tuple(int(255 * c) for c in color))
    stripe = [x + wide // 6, y + high // 3, x + wide - wide // 6, y + high // 2]
    draw.rectangle(stripe, fill=(255, 255, 255))
    return image, (x / width, y / height, (x + wide) / width, (y + high) / height)


def _train(arguments: argparse.Namespace, root: Path, folder: Path, seed: int) -> None:
    agnet_vision.train(
        {"name": "folder", "root": str(root), "val_fraction": 0.15, "test_fraction": 0.0},
        run_dir=str(folder),
        seed=seed,
        model=arguments.model,
        backbone={
            "name": "mobilenetv2_100",
            "checkpoint": str(arguments.weights),
            "kwargs": {"pad_type": "same"},
            "freeze_at": 3,
            "output_stride": 16,
        },
        image_size=160,
        epochs=arguments.epochs,
        schedule={"warmup_epochs": 1.0},
        trainer="cpu",
        workers=0,
        test=False,
        report=False,
    )


def _corrections(
    folder: Path, data: Path, labels: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Correct one network in every way, and test it on both test sets."""
    names = [row.path for row in read_split_list(folder / "splits.csv") if row.split == "train"]
    order = random.Random(seed).sample(names, len(names))
    generator = np.random.default_rng(seed)
    run: OpenedRun | None = None
    layers: dict[str, tuple[Layer, float, float, float]] = {}  # with weight and seconds
    for kind, share in WAYS:
        chosen = order[: round(share * len(order))]
        boxes = {name: _mark(kind, labels[f"train/{name}"][0], generator) for name in chosen}
        correction = _correct(folder, boxes, run)
        run, fitted, seconds = correction.run, correction.chosen, correction.seconds
        if not layers:
            layers["none, as trained"] = (correction.before, 0, 0, 0)
            layers["none, trained again"] = (correction.path[0].layer, 0, 0, 0)
        if kind == "box":
            layers[f"DFR, {share:.0%}"] = (_balanced(correction, labels), 0, 0, 0)
            layers[f"blanked, {share:.0%}"] = (_blanked(correction), 0, 0, 0)
        layers[f"{kind}, {share:.0%}"] = (
            fitted.layer,
            fitted.weight,
            seconds["store"],
            seconds["fit"],
        )

    assert run is not None
    tests = {test: _embed_folder(run, data / test) for test in ("against", "clean")}
    return [
        {
            "marks": name,
            "weight": weight,
            "seconds_store": store,
            "seconds_fit": fit,
            **_scores(layer, tests, labels),
        }
        for name, (layer, weight, store, fit) in layers.items()
    ]


def _mark(kind: str, box: tuple[float, ...], generator: np.random.Generator) -> tuple[float, ...]:
    """Return the label's box, the cell of a grid that holds its middle, or any box."""
    if kind == "box":
        return box
    if kind == "random":
        side = AREA**0.5
        x, y = generator.uniform(0, 1 - side, 2).tolist()
        return x, y, x + side, y + side
    column, row = (int((box[i] + box[i + 2]) / 2 * GRID) for i in (0, 1))
    return column / GRID, row / GRID, (column + 1) / GRID, (row + 1) / GRID


def _correct(
    folder: Path, boxes: dict[str, tuple[float, ...]], opened: OpenedRun | None
) -> Correction:
    """Correct a run as the product does, without writing a new one."""
    marks = folder.with_suffix(".marks.csv")
    with marks.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "x0", "y0", "x1", "y1"))
        writer.writerows((name, *box) for name, box in boxes.items())
    options = correction_options(
        {
            "checkpoint": str(folder),
            "marks": str(marks),
            "run_dir": str(folder.with_suffix(".corrected")),
            "workers": 0,
            "device": "cpu",
        }
    )
    correction = Correction(options, RunFolder(options.run_dir), opened)
    correction.store()
    correction.fit()
    return correction


def _embed_folder(run: OpenedRun, root: Path) -> Embeddings:
    """Store the images of a folder of classes."""
    classes = run.table.classes
    run.table.splits["test"] = [
        Sample(path, label)
        for label, name in enumerate(classes)
        for path in sorted((root / name).iterdir())
    ]
    run.table.layout = root
    return run.embed("test")


def _scores(layer: Layer, tests: dict[str, Embeddings], labels: dict[str, Any]) -> dict[str, float]:
    """Score a layer on both test sets."""
    predicted = {kind: layer.logits(stored.embedding).argmax(1) for kind, stored in tests.items()}
    right = {kind: predicted[kind] == tests[kind].label for kind in tests}
    names = sorted(name for name in labels if name.startswith("against/"))
    shown = torch.tensor([labels[name][1] for name in names])
    return {
        "accuracy_against": float(right["against"].float().mean()),
        "fooled": float((predicted["against"] == shown).float().mean()),
        "accuracy_clean": float(right["clean"].float().mean()),
    }


def _balanced(correction: Correction, labels: dict[str, Any]) -> Layer:
    """Train the last layer on the marked images alone, each class and label of equal weight."""
    samples = correction.run.table.splits["train"]
    layout = correction.run.table.layout or correction.run.table.root
    rows = correction.train.no_image
    label = correction.train.label[rows].numpy()
    names = [image_name(samples[row].path, layout) for row in rows.tolist()]
    agrees = np.array([labels[f"train/{name}"][1] for name in names]) == label
    group = 2 * label + agrees
    weight = 1 / np.bincount(group)[group]
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit(correction.train.embedding[rows].numpy(), label, weight * len(rows) / weight.sum())

    missing = correction.before
    layer = Layer(torch.full_like(missing.weight, 0), torch.full_like(missing.bias, -1e3))
    layer.weight[model.classes_] = torch.from_numpy(model.coef_).float()
    layer.bias[model.classes_] = torch.from_numpy(model.intercept_).float()
    return layer


def _blanked(correction: Correction) -> Layer:
    """Train the last layer again on images without what the marked cells bring."""
    views = [correction.train, correction.augmented, *correction.marked]
    blanked = []
    for view in views:
        embedding = view.embedding.clone()
        embedding[view.no_image] -= view.no
        blanked.append(replace(view, embedding=embedding))
    stored = Embeddings.cat(blanked)
    return fit_corrected(correction.before, stored, stored, 0.0, 0.1)
