"""The sheet shows the loader's pixels, boxes and names."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import EvaluationTransform
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import ImageReadError
from agnet_vision.evaluation.training_views import VIEWS, draw_views, first_views
from agnet_vision.regions.proposer import RegionProposer
from tests.data.inputs import input_config

CLASSES = ("a_cat", "日本" * 20)
SIDE = 32


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> SampleTable:
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    samples = [Sample(folder / f"{number}.png", number % 2) for number in range(20)]
    for sample in samples:
        pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(sample.path), pixels)
    return SampleTable("folder", folder, CLASSES, {"train": samples, "val": [], "test": []})


def data(table: SampleTable, proposer: RegionProposer | None) -> AGNetDataModule:
    """Load images as they are, but normalized."""
    transform = EvaluationTransform(
        input_config(SIDE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1), crop_pct=1.0)
    )
    return AGNetDataModule(table, transform, transform, proposer, batch_size=4, workers=0, seed=3)


def test_value_views_are_those_of_the_loader(table: SampleTable) -> None:
    prepared = data(table, RegionProposer("grid", num_clusters=4))
    views = first_views(prepared)
    draws = list(islice(prepared.train_dataloader().sampler, VIEWS))
    assert len(views) == VIEWS
    for view, draw in zip(views, draws, strict=True):
        sample = table.splits["train"][draw.sample]
        np.testing.assert_array_equal(view.pixels, read_image(sample.path))
        assert view.class_name == CLASSES[sample.label]
        quarters = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]
        np.testing.assert_allclose(sorted(view.boxes.tolist()), sorted(quarters))


def test_value_a_sheet_changes_nothing_about_training(table: SampleTable) -> None:
    first, second = (data(table, RegionProposer("random", num_clusters=3)) for _ in range(2))
    first_views(first)
    state = torch.get_rng_state()
    batches = [next(iter(one.train_dataloader())) for one in (first, second)]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(batches[0]["image"], batches[1]["image"])
    assert torch.equal(batches[0]["boxes"], batches[1]["boxes"])


def test_value_the_sheet_shows_views_with_their_regions(table: SampleTable) -> None:
    views = first_views(data(table, RegionProposer("grid", num_clusters=4)), 9)
    sheet = draw_views(views)
    assert len(sheet.axes) == 16  # two rows
    for axes, view in zip(sheet.axes, views, strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), view.pixels)
        corners = [box.get_xy() for box in axes.patches if isinstance(box, Rectangle)]
        half = SIDE / 2 - 0.5
        assert sorted(corners) == [(-0.5, -0.5), (-0.5, half), (half, -0.5), (half, half)]
    assert {axes.get_title() for axes in sheet.axes[:9]} == {"a cat", 23 * "?" + "…"}
    assert not draw_views(first_views(data(table, None), 3)).axes[0].patches


def test_raises_unreadable_image(table: SampleTable, tmp_path: Path) -> None:
    (tmp_path / "gone.png").write_text("no image")
    samples = [Sample(tmp_path / "gone.png", 0)] * 2
    broken = SampleTable("folder", tmp_path, CLASSES, {"train": samples, "val": [], "test": []})
    with pytest.raises(ImageReadError, match="not an image"):
        first_views(data(broken, None))
