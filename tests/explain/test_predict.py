"""Files in, rows out; a bad file is a row, not the end."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet_vision.data.image import read_image
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.explain.explanation import explain
from agnet_vision.explain.predict import Predictor, choose_device, find_images, write_rows
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.checkpoint import describe

TOOL = Path(__file__).parents[2] / "tools" / "predict.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photographs of different sizes, a text file that says it is one, and other things."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = (
            rng.integers(0, 256, (8 + number, 12, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
        )
        Image.fromarray(pixels).save(root / f"{number}.png")
    (root / "3b.jpg").write_text("not an image")
    (root / "notes.txt").write_text("left out")
    return root


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 3, num_clusters=3, classes=("ant", "bee, wild", "cat")).eval()


def test_value_rows_come_in_order_and_equal_single_images(folder: Path, model: AGNet) -> None:
    rows = list(Predictor(model, batch_size=4)(find_images(folder)))
    assert [row.path.name for row in rows] == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
        "3b.jpg",
        "4.png",
    ]
    assert [row.error is None for row in rows] == [True] * 4 + [False, True]
    assert rows[4].top() == []
    for row in rows[:4]:
        told = explain(model, read_image(row.path))
        np.testing.assert_allclose(row.probabilities, told.probabilities, atol=1e-5)
        assert row.top(2)[0] == (
            model.classes[told.target],
            pytest.approx(told.probabilities.max(), abs=1e-5),
        )


def test_value_formats_read_back(folder: Path, model: AGNet) -> None:
    predictor = Predictor(model)
    table, lines = io.StringIO(), io.StringIO()
    rows = list(write_rows(predictor(find_images(folder)), table, "csv"))
    list(write_rows(rows, lines, "jsonl"))
    read = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert read[0]["predicted"] == rows[0].top()[0][0]
    assert float(read[0]["probability_bee, wild"]) == pytest.approx(rows[0].probabilities[1])
    assert "not an image" in read[4]["error"]
    objects = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert objects[4]["predicted"] is None
    assert objects[0]["probabilities"]["cat"] == pytest.approx(float(rows[0].probabilities[2]))


def test_value_find_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [p.name for p in find_images(folder / "notes.txt")] == ["notes.txt"]
    assert [p.name for p in find_images(str(folder / "[01].*"))] == ["0.png", "1.png"]
    assert len(find_images([folder / "0.png", str(folder)])) == 7
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.jpg\n\nb c.jpg\n"))
    assert find_images("-") == [Path("a.jpg"), Path("b c.jpg")]
    with pytest.raises(ConfigError, match="no images at"):
        find_images(str(folder / "*.bmp"))


def test_value_load_model_takes_every_kind(tmp_path: Path, model: AGNet) -> None:
    model.save_pretrained(tmp_path / "saved")
    (tmp_path / "run").mkdir()
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"agnet": describe(model), "state_dict": weights}, tmp_path / "run" / "best.ckpt")
    for place in ("saved", "run", "run/best.ckpt"):
        opened = load_model(tmp_path / place)
        assert opened.classes == model.classes
        torch.testing.assert_close(
            opened.head.classifier.linear.weight, model.head.classifier.linear.weight
        )
    with pytest.raises(CheckpointError, match="neither"):
        load_model(tmp_path)


def test_smoke_tool(tmp_path: Path, folder: Path, model: AGNet) -> None:
    model.save_pretrained(tmp_path / "saved")
    command = [sys.executable, TOOL, f"checkpoint={tmp_path / 'saved'}", "device=cpu"]
    out = tmp_path / "rows.csv"
    options = [f"images={folder}/3*", f"output={out}", f"figures={tmp_path / 'figures'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 images could not be read" in done.stderr
    assert len(out.read_text().splitlines()) == 3
    assert [p.name for p in sorted((tmp_path / "figures").iterdir())] == ["3_png.png"]


@pytest.mark.parametrize("name", ["gpu", "foo", "cuda:99"])
def test_raises_on_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match="device=cpu"):
        choose_device(name)
