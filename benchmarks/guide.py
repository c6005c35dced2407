"""What marks correct: a painted label tells the class in training, and contradicts it in the test.

python tools/benchmark.py guide --photographs STANFORD40 --weights mobilenetv2_100_in1k.pth

The actions of Stanford-40 in ten classes of four. A colored label on 3 % of the area, anywhere (or
``--shortcut place``: a timestamp in a corner), tells the class of 95 % of the training images; in
the test it names another class ("against"), or is not there ("clean"). One network per seed is
trained on it, and corrected by marks on a share of the training images: the label's box, the cell
of a 5 x 5 grid that holds its middle (a click), a random box, or one box for all images (place).
Beside it: the last layer trained again without marks, on the marked images alone with balanced
classes and labels (DFR, Kirichenko et al., 2023), and on all images without what the marked cells
bring; with ``--guide``, a network that was given the boxes of 5 % while it was trained.
"""

from __future__ import annotations

import argparse
import colorsys
import copy
import csv
import json
import random
from collections.abc import Sequence
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
from agnet_vision.data.image import read_image
from agnet_vision.data.sources.listing import Sample, image_name
from agnet_vision.data.sources.split_list import read_split_list
from agnet_vision.evaluation.faithfulness import measure, summarize
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.options.resolve import correction_options
from agnet_vision.options.run import CorrectConfig
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
CORNER = (0.75, 0.92, 1.0, 1.0)  # of a timestamp, in fractions
WAYS = ("box:0.01", "box:0.05", "box:0.2", "click:0.01", "click:0.05", "random:0.05")
NETWORKS = {
    "backbone_only": ("backbone_only", "mixed"),
    "average": ("backbone_only", "average"),
    "full": ("full", "mixed"),
}
EXPLAINED = 60  # test images of the deletion and insertion curves


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--photographs", type=Path, required=True, help="root of stanford40")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNetV2 of ImageNet")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/guide"), help="folder to work in"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--network", choices=NETWORKS, default="backbone_only")
    parser.add_argument("--shortcut", choices=("label", "place"), default="label")
    parser.add_argument("--ways", nargs="*", default=WAYS, help="kind:share of the images marked")
    parser.add_argument("--guide", type=float, default=0.0, help="weight of marks during training")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/guide.json"))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, correct, test, print a table and write the numbers."""
    data = arguments.work / ("images" if arguments.shortcut == "label" else "images_place")
    labels = paint(arguments.photographs, data, is_place=arguments.shortcut == "place")
    rows = []
    for seed in arguments.seeds:
        folder = arguments.work / f"{data.name}_{arguments.network}_{seed}"
        if not (folder / "best.ckpt").is_file():
            _train(arguments, data / "train", folder, seed)
        rows += _corrections(folder, data, labels, seed, arguments.ways)
        if arguments.guide:
            rows.append(_guided(arguments, folder, data, labels, seed))

    names = ("accuracy_against", "fooled", "accuracy_clean", "weight", "seconds_fit")
    table = Table("seed", "marks", *names)
    for row in rows:
        table.add_row(str(row["seed"]), row["marks"], *(f"{row[name]:.3f}" for name in names))
    Console().print(table)
    content = {"conditions": conditions(seed=arguments.seeds[0]), "rows": rows}
    write_report(content, arguments.output)
    return content


def paint(
    photographs: Path, folder: Path, *, is_place: bool
) -> dict[str, tuple[tuple[float, ...], int]]:
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
                place = CORNER if is_place else _anywhere(image, generator)
                painted, box = _label(image, shown, place)
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


def _anywhere(image: Image.Image, generator: np.random.Generator) -> tuple[float, ...]:
    """Choose where a label lies, in fractions."""
    width, height = image.size
    aspect = generator.uniform(0.6, 1.7)
    wide = int((AREA * width * height * aspect) ** 0.5)
    high = int((AREA * width * height / aspect) ** 0.5)
    x, y = int(generator.integers(0, width - wide)), int(generator.integers(0, height - high))
    return x / width, y / height, (x + wide) / width, (y + high) / height


def _label(
    image: Image.Image, shown: int, box: tuple[float, ...]
) -> tuple[Image.Image, tuple[float, ...]]:
    """Paint one label, of a color that names a class."""
    image = image.copy()
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, image.size * 2, strict=True))
    wide, high = x1 - x0, y1 - y0
    color = colorsys.hsv_to_rgb(shown / len(CLASSES), 0.9, 0.9)
    draw = ImageDraw.Draw(image)
    draw.rectangle([x0, y0, x1, y1], fill=tuple(int(255 * c) for c in color))
    stripe = [x0 + wide // 6, y0 + high // 3, x1 - wide // 6, y0 + high // 2]
    draw.rectangle(stripe, fill=(255, 255, 255))
    return image, box


def _train(
    arguments: argparse.Namespace, root: Path, folder: Path, seed: int, **options: Any
) -> None:
    variant, pooling = NETWORKS[arguments.network]
    if arguments.shortcut == "place":  # a square of the middle would not show the corner
        options["augmentation"] = {"view": "whole"}
    agnet_vision.train(
        {"name": "folder", "root": str(root), "val_fraction": 0.15, "test_fraction": 0.0},
        run_dir=str(folder),
        seed=seed,
        model={"variant": variant, "head": {"pooling": pooling}},
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
        **options,
    )


def _guided(
    arguments: argparse.Namespace, folder: Path, data: Path, labels: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Train with the boxes of 5 % of the images, and test."""
    order = _order(folder, seed)
    boxes = {name: labels[f"train/{name}"][0] for name in order[: round(0.05 * len(order))]}
    guide = {"marks": str(_write_marks(folder, boxes)), "weight": arguments.guide}
    guided = folder.with_name(f"{folder.name}_guided_{arguments.guide:g}")
    if not (guided / "best.ckpt").is_file():
        _train(arguments, data / "train", guided, seed, guide=guide)

    run = OpenedRun(_options(guided, guide["marks"]))
    linear = run.model.head.classifier.linear
    layer = Layer(linear.weight.detach().cpu(), linear.bias.detach().cpu())
    seconds = json.loads((guided / "run.json").read_text())["training_seconds"]
    return {
        "seed": seed,
        "marks": "box, 5%, in training",
        "weight": arguments.guide,
        "seconds_fit": seconds,
        **_scores(layer, _tests(run, data), labels),
    }


def _order(folder: Path, seed: int) -> list[str]:
    """Return the training images in the order in which they are marked."""
    names = [row.path for row in read_split_list(folder / "splits.csv") if row.split == "train"]
    return random.Random(seed).sample(names, len(names))


def _corrections(
    folder: Path, data: Path, labels: dict[str, Any], seed: int, ways: Sequence[str]
) -> list[dict[str, Any]]:
    """Correct one network in every way, and test it on both test sets."""
    order = _order(folder, seed)
    generator = np.random.default_rng(seed)
    run: OpenedRun | None = None
    layers: dict[str, tuple[Layer, float, float, float]] = {}  # with weight and seconds
    for kind, share in ((kind, float(share)) for kind, share in (way.split(":") for way in ways)):
        chosen = order[: round(share * len(order))] if kind != "place" else [""]
        boxes = {
            name: _mark(kind, labels[f"train/{name}"][0], generator) if name else CORNER
            for name in chosen
        }
        correction = _correct(folder, boxes, run)
        run, fitted, seconds = correction.run, correction.chosen, correction.seconds
        if not layers:
            layers["none, as trained"] = (correction.before, 0, 0, 0)
            layers["none, trained again"] = (correction.path[0].layer, 0, 0, 0)
        if kind in ("box", "place"):
            layers[f"DFR, {share:.0%}"] = (_balanced(correction, labels), 0, 0, 0)
            layers[f"blanked, {share:.0%}"] = (_blanked(correction), 0, 0, 0)
        layers[f"{kind}, {share:.0%}"] = (
            fitted.layer,
            fitted.weight,
            seconds["store"],
            seconds["fit"],
        )

    if run is None:
        return []
    tests = _tests(run, data)
    rows: list[dict[str, Any]] = [
        {
            "seed": seed,
            "marks": name,
            "weight": weight,
            "seconds_store": store,
            "seconds_fit": fit,
            **_scores(layer, tests, labels),
        }
        for name, (layer, weight, store, fit) in layers.items()
    ]
    for row in rows:
        if row["marks"] in ("none, as trained", "box, 5%", "place, 100%"):
            row |= _curves(run, layers[row["marks"]][0], data)
    return rows


def _tests(run: OpenedRun, data: Path) -> dict[str, Embeddings]:
    """Store what the last layer sees of both test sets."""
    return {test: _embed_folder(run, data / test) for test in ("against", "clean")}


def _curves(run: OpenedRun, layer: Layer, data: Path) -> dict[str, float]:
    """Average the areas under the deletion and insertion curves of the evidence."""
    model = copy.deepcopy(run.model).eval()
    with torch.no_grad():
        model.head.classifier.linear.weight.copy_(layer.weight)
        model.head.classifier.linear.bias.copy_(layer.bias)
    paths = sorted((data / "clean").rglob("*.jpg"))
    curves = measure(model, map(read_image, random.Random(0).sample(paths, EXPLAINED)))
    areas = summarize(curves)["evidence"]
    return {name: interval.value for name, interval in areas.items()}


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
    options = _options(folder, str(_write_marks(folder, boxes)))
    correction = Correction(options, RunFolder(options.run_dir), opened)
    correction.store()
    correction.fit()
    return correction


def _write_marks(folder: Path, boxes: dict[str, tuple[float, ...]]) -> Path:
    marks = folder.with_suffix(".marks.csv")
    with marks.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "x0", "y0", "x1", "y1"))
        writer.writerows((name, *box) for name, box in boxes.items())
    return marks


def _options(folder: Path, marks: str) -> CorrectConfig:
    return correction_options(
        {
            "checkpoint": str(folder),
            "marks": marks,
            "run_dir": str(folder.with_suffix(".corrected")),
            "workers": 0,
            "device": "cpu",
        }
    )


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
