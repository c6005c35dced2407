"""Test-time augmentation: points show what their views show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agnet_vision.choices import TTA
from agnet_vision.data.dataset import RegionDataset
from agnet_vision.data.preprocessing import EvaluationTransform, move_points
from agnet_vision.data.sampler import SampleRequest
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.views import COUNTS, TestTimeViews, View
from agnet_vision.errors import ConfigError
from agnet_vision.regions.proposer import RegionProposer
from tests.data.inputs import input_config

PROPOSER = RegionProposer(num_clusters=3)
CONFIG = input_config(64)


def make_views(tta: TTA, **config: Any) -> TestTimeViews:
    return TestTimeViews({**CONFIG, **config}, tta)


def brightest(view: View) -> np.ndarray:
    """Return the center (x, y) of a view's brightest pixels."""
    light = view[0].sum(0).numpy()
    rows, columns = np.nonzero(light > light.max() / 2)
    return np.array([columns.mean(), rows.mean()]) + 0.5


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("tta", ["none", "whole"])
def test_value_points_stay_on_their_pixels(tta: TTA, crop_mode: str) -> None:
    """A dot painted at a keypoint stays at it."""
    image = np.zeros((120, 150, 3), np.uint8)
    dot = np.array([[83.0, 57.0]])
    image[55:60, 81:86] = 255
    views = make_views(tta, crop_mode=crop_mode, crop_pct=0.8)(image)
    assert len(views) == COUNTS[tta]
    for view in views:
        (moved,) = move_points(dot, view[1])
        # Painted pixels 55 to 59 have their middle at 57.5.
        np.testing.assert_allclose(brightest(view) - moved, 0, atol=1.5)


def test_value_the_first_view_is_that_of_evaluation() -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    pixels, matrix = EvaluationTransform(CONFIG)(image)
    for tta in ("none", "whole"):
        first, first_matrix = make_views(tta)(image)[0]
        assert torch.equal(first, pixels)
        np.testing.assert_array_equal(first_matrix, matrix)


def test_value_the_whole_image_is_whole() -> None:
    image = np.zeros((80, 160, 3), np.uint8)
    image[:10, -10:] = image[-10:, :10] = 255  # what the crop in the middle leaves out
    crop, whole = make_views("whole", crop_pct=0.8)(image)
    assert float(crop[0].max()) == 0
    bright = whole[0].sum(0) > 1.5
    assert bool(bright[0, -1])
    assert bool(bright[-1, 0])


def test_value_items_of_all_views_have_the_index_of_their_image(samples: list[Sample]) -> None:
    transform = EvaluationTransform(CONFIG)
    views = make_views("whole")
    dataset = RegionDataset(samples, transform, PROPOSER, views=views)
    items = dataset.__getitems__([SampleRequest(0, 1), SampleRequest(0, 0, counted=False)])
    assert [item["index"] for item in items] == [1, 1, -1, -1]
    plain = RegionDataset(samples, transform, PROPOSER)[1]
    for name in ("image", "boxes", "mask"):
        assert torch.equal(items[0][name], plain[name])
    assert not torch.equal(items[1]["boxes"], plain["boxes"])


@pytest.mark.parametrize(
    ("tta", "config", "message"),
    [
        ("crops", {}, "tta must be one of none, whole, got 'crops'"),
        (
            "whole",
            {"crop_mode": "squash", "crop_pct": 1.0},
            "tta must be none where the whole image is the view already",
        ),
    ],
)
def test_raises_on_what_cannot_be_shown(tta: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_views(tta, **config)
