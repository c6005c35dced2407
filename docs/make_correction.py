"""Draw what a correction does: ``python docs/make_correction.py``, five minutes on one core.

Pebbles of the demo set with a colored label, which tells the class in 60 % of the training images
and another one in the test. A small network learns both, and is corrected with boxes on 120 labels.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import agnet_vision  # noqa: E402 (the path comes first)
from agnet_vision.data.demo import MARKS, paint_image  # noqa: E402
from agnet_vision.data.image import read_image  # noqa: E402
from agnet_vision.evaluation.correction_report import centered  # noqa: E402
from agnet_vision.explain.explanation import explain  # noqa: E402
from agnet_vision.explain.overlays import (  # noqa: E402
    THEMES,
    draw_image,
    outline_box,
    paint_evidence,
)

COLORS = (
    (230, 60, 60),
    (60, 170, 60),
    (60, 90, 230),
    (230, 200, 50),
    (170, 70, 200),
    (60, 200, 200),
)
SIDE, LABEL = 96, 18  # of an image and of a label, in pixels
COUNTS = {"train": 1200, "val": 150, "test": 300}
MARKED = 120
SHOWN = 3


def main() -> None:
    """Paint, train, correct, and draw test images before and after."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        root, runs = Path(folder, "images"), Path(folder, "runs")
        boxes = paint(root)
        before = train(root, runs / "before")
        marks = Path(folder, "marks.csv")
        with marks.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "x0", "y0", "x1", "y1"))
            names = [name for name in boxes if name.startswith("train/")][:MARKED]
            writer.writerows((name, *boxes[name]) for name in names)
        options = {"run_dir": str(runs / "after"), "workers": 0, "device": "cpu", "report": False}
        after = agnet_vision.correct(str(before.folder), str(marks), **options)
        draw(before, after, root, boxes)


def paint(root: Path) -> dict[str, tuple[float, ...]]:
    """Paint the images, and return the box of each label by the image's name."""
    rng = np.random.default_rng(0)
    boxes = {}
    for split, count in COUNTS.items():
        for number in range(count):
            k = number % len(MARKS)
            seed = (7, number, split == "test")
            image = paint_image(np.random.default_rng(seed), MARKS[k], image_size=SIDE).copy()
            others = [j for j in range(len(MARKS)) if j != k]
            shown = k if split != "test" and rng.random() < 0.6 else int(rng.choice(others))
            x, y = (int(place) for place in rng.integers(0, SIDE - LABEL, 2))
            image[y : y + LABEL, x : x + LABEL] = COLORS[shown]
            image[y + 6 : y + 11, x + 3 : x + 15] = 255
            path = root / split / MARKS[k] / f"{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image[..., ::-1])
            box = np.array([x, y, x + LABEL, y + LABEL]) / SIDE
            boxes[path.relative_to(root).as_posix()] = tuple(box.tolist())
    return boxes


def train(root: Path, run_dir: Path) -> agnet_vision.training.Run:
    """Train a small network as the demo set's recipe does."""
    return agnet_vision.train(
        {"name": "folder", "root": str(root)},
        run_dir=str(run_dir),
        model="backbone_only",
        backbone={"name": "test_resnet", "pretrained": False, "output_stride": 16},
        image_size=SIDE,
        epochs=12,
        batch_size=32,
        workers=0,
        augmentation={"preset": "paper", "crop_fraction": 1.0, "rotation_degrees": 180.0},
        optimizer={"lr": 0.004, "backbone_lr": 0.004},
        schedule={"warmup_epochs": 1.0},
        gradient_clip=5.0,
        trainer="cpu",
        logger="none",
        report=False,
    )


def draw(
    before: agnet_vision.training.Run,
    after: agnet_vision.training.Run,
    root: Path,
    boxes: dict[str, tuple[float, ...]],
) -> None:
    """Draw images that the correction turned right: the label, the evidence before and after."""
    models = [centered(run.load_model()) for run in (before, after)]
    figure = Figure((2 * SHOWN * 2.0, 2.5), layout="constrained", facecolor="white")
    axes = iter(figure.subplots(1, 2 * SHOWN))
    left = SHOWN
    for name in sorted(name for name in boxes if name.startswith("test/")):
        true = name.split("/")[1]
        image = read_image(root / name)
        first = explain(models[0], image)
        second = explain(models[1], image, target=first.target)
        answers = [each.classes[int(each.probabilities.argmax())] for each in (first, second)]
        if not left or answers[0] == true or answers[1] != true:
            continue
        left -= 1
        top = float(np.quantile(np.abs(first.heat()), 0.99))
        for each, answer, when in zip((first, second), answers, ("before", "after"), strict=True):
            axis = next(axes)
            draw_image(axis, image, each.frame)
            paint_evidence(each, axis, THEMES["light"], top)
            if when == "before":
                outline_box(axis, np.multiply(boxes[name], SIDE), "#FFFFFF")
            axis.set_title(f"{when}: {answer}", fontsize=10)
            axis.set_axis_off()
    scores = [(run.metrics or {})["acc"] for run in (before, after)]
    figure.suptitle(
        f"Right against the label: {scores[0]:.0%} before, {scores[1]:.0%} after "
        f'"not there" on {MARKED} of {COUNTS["train"]:,} training images',
        fontsize=11,
    )
    figure.savefig(ROOT / "docs" / "images" / "correction.png", dpi=80)


if __name__ == "__main__":
    main()
