"""Marks in training: the evidence inside them falls, on images without marks, too."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import agnet_vision
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.evidence import centered_square, evidence_inside
from agnet_vision.structures import NO, Marks
from agnet_vision.training.train import train
from tests.training.tiny import TINY, Configure, differ, training

SIDE = 48
COLORS = ((230, 30, 30), (30, 30, 230))


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Paint bars that lie or stand, with a label whose color says which; mark it on a third."""
    folder = tmp_path_factory.mktemp("labeled")
    rng = np.random.default_rng(0)
    rows = []
    for split, count in {"train": 24, "val": 4, "test": 8}.items():
        for label, name in enumerate(("lies", "stands")):
            (folder / "images" / split / name).mkdir(parents=True)
            for number in range(count):
                image = rng.integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
                start = rng.integers(4, SIDE - 28, 2)
                long, short = (24, 5) if label else (5, 24)
                image[start[0] : start[0] + long, start[1] : start[1] + short] = 220
                x, y = rng.integers(0, SIDE - 12, 2)
                image[y : y + 12, x : x + 12] = COLORS[label]

                path = f"{split}/{name}/{number}.png"
                Image.fromarray(image).save(folder / "images" / path)
                rows.append((path, x / SIDE, y / SIDE, (x + 12) / SIDE, (y + 12) / SIDE))

    for name, chosen in {
        "marks": [row for row in rows if row[0].startswith("train")][::3],
        "all": rows,
    }.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "x0", "y0", "x1", "y1"), *chosen])
    return folder / "images", folder / "marks.csv"


def evidence_on_others(model: agnet_vision.AGNet, labeled: tuple[Path, Path]) -> float:
    """Measure the evidence inside the labels of the test images, which bear no mark."""
    root, marks = labeled
    with marks.with_name("all.csv").open() as file:
        rows = [row for row in csv.reader(file) if row[0].startswith("test")]
    pixels = np.stack([np.asarray(Image.open(root / row[0])) for row in rows]) / 255
    mean, std = (np.array(model.data_config[name]) for name in ("mean", "std"))
    images = torch.from_numpy((pixels - mean) / std).float().permute(0, 3, 1, 2)
    boxes = torch.tensor([[float(value) for value in row[1:]] for row in rows])[:, None]

    with torch.no_grad():
        feature_map = model.eval().forward_features(images)
        regions = model.propose(images) if model.head.needs_regions else None
        inside = Marks(boxes, torch.full((len(rows), 1), NO)).cells(NO, *feature_map.shape[-2:])
        evidence = evidence_inside(model.head, feature_map, regions, inside)
    return float(centered_square(evidence).mean().sqrt())


@pytest.mark.parametrize("variant", ["full", "backbone_only"])
def test_value_evidence_falls_on_images_without_marks(labeled, tmp_path, variant):
    words = (
        *TINY,
        f"dataset.root={labeled[0]}",
        f"model={variant}",
        "model.head.dropout=0",
        "backbone.output_stride=8",
        "epochs=6",
        "augmentation.preset=none",
        "test=false",
    )
    plain = train(training(*words, f"run_dir={tmp_path / 'plain'}"))
    guide = (f"guide.marks={labeled[1]}", "guide.weight=10")
    guided = train(training(*words, *guide, f"run_dir={tmp_path / 'guided'}"))
    before = evidence_on_others(plain.load_model(), labeled)
    after = evidence_on_others(guided.load_model(), labeled)
    assert after < 0.75 * before


@pytest.mark.parametrize(
    "words",
    [
        ("model=full", "model.head.width=8", "model.head.region_dropout=0.3"),
        ("model=no_attention", "model.head.pooling=average", "model.head.upsample=8"),
        ("model=backbone_only", "model.head.pooling=average", "trainer.precision=bf16-mixed"),
    ],
)
def test_value_the_loss_is_logged_and_its_gradient_moves_the_weights(
    labeled, tmp_path, recorder, words
):
    words = (*TINY, *words, f"dataset.root={labeled[0]}", "epochs=1", "test=false")
    guide = (f"guide.marks={labeled[1]}", "guide.weight=100")
    train(training(*words, f"run_dir={tmp_path / 'plain'}"))
    plain = recorder.weights[-1]
    assert "look" not in recorder.batches[-1]

    train(training(*words, *guide, f"run_dir={tmp_path / 'guided'}"))
    assert differ(plain, recorder.weights[-1], "model.backbone")
    (row,) = RunFolder(tmp_path / "guided").read_history()
    assert 0 < row["train/evidence_loss"] < 10


def test_a_run_goes_on_with_its_marks(labeled, tmp_path, monkeypatch):
    monkeypatch.chdir(labeled[1].parent)
    words = (*TINY, f"dataset.root={labeled[0]}", "model=backbone_only", "test=false")
    place = f"run_dir={tmp_path / 'run'}"
    train(training(*words, place, "epochs=1", "guide.marks=marks.csv", "guide.weight=10"))

    monkeypatch.chdir(tmp_path)
    train(training("resume=true", place, "epochs=2"))
    rows = RunFolder(tmp_path / "run").read_history()
    assert all(row["train/evidence_loss"] > 0 for row in rows)
    with pytest.raises(ConfigError, match=r"goes on with its own guide.marks=/.*leave guide.marks"):
        training("resume=true", place, "epochs=3", "guide.marks=null", "guide.weight=0")


def test_raises_for_half_a_guide(labeled, configure: Configure):
    with pytest.raises(ConfigError, match=r"go together.*got guide.marks=null guide.weight=3$"):
        configure("guide.weight=3")
    with pytest.raises(ConfigError, match=r"go together.*marks.csv guide.weight=0$"):
        configure("guide.marks=marks.csv")


def test_raises_for_marks_on_no_training_image(labeled, tmp_path):
    marks = tmp_path / "marks.csv"
    marks.write_text("path,x0,y0,x1,y1\ntest/lies/0.png,0,0,1,1\n")
    words = (*TINY, f"dataset.root={labeled[0]}", f"run_dir={tmp_path / 'run'}")
    config = training(*words, f"guide.marks={marks}", "guide.weight=1")
    with pytest.raises(DatasetError, match=r"marks\.csv are on none of the 48 training images"):
        train(config)
    assert not (tmp_path / "run").exists()
