"""The paper's benchmark: its small run, its views, and what it says of optimism."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agnet_vision import AGNet, RegionProposer
from agnet_vision.data.cache.store import StoredKeypoints
from benchmarks import paper
from benchmarks.child import write_images
from benchmarks.in_memory import Images, random_views

WORDS = (
    "dataset=folder",
    "backbone=test_resnet",
    "backbone.pretrained=false",
    "regions.num_clusters=2",
    "model.head.pool_size=2",
    "image_size=48",
    "workers=1",
)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    root = write_images(tmp_path / "images", {"train": 4, "val": 2, "test": 2})
    return [*WORDS, f"dataset.root={root}", "--output", str(tmp_path / "out.json")]


def parsed(module: Any, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(words)


def test_smoke(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paper, "BACKBONES", ("test_resnet",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    paper.run(parsed(paper, words))
    report = json.loads(Path(words[-1]).read_text())
    assert report["is_a_test"]
    assert "A test on some 200 images, no result" in capsys.readouterr().out
    assert set(report["speed"]["test_resnet"]) == {"backbone", "agnet", "narrow"}
    for row in report["training"].values():
        assert len(row["history"]["val"]) == len(row["history"]["test"]) == 2
        assert row["optimism"] >= 0
        assert row["images"] == {"train": 12, "val": 6, "test": 6}


def test_value_optimism() -> None:
    scores = paper.chosen_scores(val=[0.5, 0.7, 0.6], test=[0.4, 0.5, 0.58])
    assert scores["chosen_on_val"] == {"epoch": 2, "test_mAP": 0.5}
    assert scores["chosen_on_test"] == {"epoch": 3, "test_mAP": 0.58}
    assert scores["optimism"] == pytest.approx(0.08)


def test_points_go_where_their_pixels_go() -> None:
    """The box of two bright dots in a view ends at the dots."""
    model = AGNet("test_resnet", 2, num_clusters=1, proposer=RegionProposer(num_clusters=1))
    model.data_config.update(input_size=(3, 160, 160), mean=(0.0,) * 3, std=(1.0,) * 3)
    dots = np.array([[70, 60], [110, 125]])
    pixels = torch.zeros(1, 3, 183, 183, dtype=torch.uint8)
    for x, y in dots:
        pixels[0, :, y - 1 : y + 2, x - 1 : x + 2] = 255
    points = StoredKeypoints((dots + 0.5) / 183, np.zeros(2, np.int64))
    images = Images(pixels, torch.zeros(1, dtype=torch.int64), [points])

    rng = np.random.default_rng(0)
    for _ in range(10):
        shown, regions, _ = images.view(np.array([0]), random_views(1, 0.875, rng), model)
        y, x = (shown[0, 0] > 0.5).nonzero().T
        expected = torch.stack([x.min() + 1, y.min() + 1, x.max(), y.max()]) / 160
        torch.testing.assert_close(regions.boxes[0, 0], expected, atol=2 / 160, rtol=0)
