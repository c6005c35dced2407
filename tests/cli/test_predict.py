"""``agnet predict`` as it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet_vision.errors import ConfigError
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.files import find_images
from agnet_vision.predict.predictor import Predictor
from tests.cli.saved import options

TOOL = Path(__file__).parents[2] / "tools" / "predict.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, and a text file named like one."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in (0, 3):
        blocks = rng.integers(0, 256, (8 + number, 12, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(12, 0).repeat(12, 1)).save(root / f"{number}.png")
    (root / "3b.jpg").write_text("not an image")
    return root


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 3, num_clusters=3, classes=("ant", "bee, wild", "cat")).eval()


def test_smoke_tool(tmp_path: Path, folder: Path, model: AGNet) -> None:
    model.save_pretrained(tmp_path / "saved")
    command = [sys.executable, TOOL, f"checkpoint={tmp_path / 'saved'}", "device=cpu"]
    out = tmp_path / "rows.csv"
    options = [f"images={folder}/3*", f"output={out}", f"figures={tmp_path / 'figures'}"]
    options += ["tta=whole", f"embeddings={tmp_path / 'new' / 'rows.npy'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 images could not be read" in done.stderr
    assert len(out.read_text().splitlines()) == 3
    assert [p.name for p in sorted((tmp_path / "figures").iterdir())] == ["3.png.png"]

    embeddings = np.load(tmp_path / "new" / "rows.npy")
    rows = Predictor(model, tta="whole")(find_images(f"{folder}/3*"))
    for embedding, row in zip(embeddings, rows, strict=True):
        if row.embedding is None:
            assert np.isnan(embedding).all()
        else:
            np.testing.assert_allclose(embedding, row.embedding, atol=1e-5)


def test_value_tool_prints_names_that_look_like_markup(tmp_path: Path, folder: Path) -> None:
    torch.manual_seed(0)
    AGNet("test_resnet", 2, num_clusters=2, classes=("[bold]", "[/red]")).save_pretrained(
        tmp_path / "saved"
    )
    image = tmp_path / "x[/red].png"  # in a folder called x[
    image.parent.mkdir()
    image.write_bytes((folder / "0.png").read_bytes())
    (tmp_path / "list.txt").write_text(f"{image}\n{tmp_path}/[red]missing.png\n")
    command = [sys.executable, TOOL, f"checkpoint={tmp_path / 'saved'}", "device=cpu", "images=-"]
    with (tmp_path / "list.txt").open() as names:
        done = subprocess.run(
            [*command, "progress=false"],
            stdin=names,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for words in ("[bold]", "[/red]", "x[/red].png", "[red]missing.png", "cannot be read"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "table"),
        ({"output": "rows.csv"}, "csv"),
        ({"output": "rows.JSONL"}, "jsonl"),
        ({"output": "rows.txt", "format": "csv"}, "csv"),
        ({"format": "jsonl"}, "jsonl"),
    ],
)
def test_value_format_of_the_rows(given: dict[str, str], expected: str) -> None:
    config = options("predict", checkpoint="x", images="x", **given)
    assert config.row_format() == expected


def test_raises_on_embeddings_of_another_suffix() -> None:
    given = {"checkpoint": "x", "images": "x", "embeddings": "rows.csv"}
    with pytest.raises(ConfigError, match=r"embeddings must end in \.npy"):
        options("predict", **given)
