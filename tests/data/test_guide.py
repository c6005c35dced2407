from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.data.dataset import RegionDataset
from agnet_vision.data.guide import Guide
from agnet_vision.data.preprocessing import EvaluationTransform, move_points
from agnet_vision.data.sampler import Draw
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import training_transform
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

SIDE, KAPPA = 64, 3
PROPOSER = RegionProposer(num_clusters=KAPPA)
CROPPED = training_transform(SIDE, "modern", mean=(0, 0, 0), std=(1, 1, 1), cropped=True)


def guide(crop: float = 1.0, source: str = "keypoints") -> Guide:
    return Guide(RegionProposer(source, num_clusters=KAPPA), crop, CROPPED)


def points(xy: list[tuple[float, float]], group: list[int]) -> Keypoints:
    return Keypoints(np.float32(xy), np.ones(len(xy), np.float32), np.int64(group))


@settings(max_examples=40, deadline=None)
@given(
    dot=st.tuples(st.integers(20, 199), st.integers(20, 139)),
    corner=st.tuples(st.integers(20, 199), st.integers(20, 139)),
    seed=st.integers(0, 2**32 - 1),
)
def test_property_painted_dots_and_their_points_stay_together(
    dot: tuple[int, int], corner: tuple[int, int], seed: int
) -> None:
    plain = EvaluationTransform(256, (0, 0, 0), (1, 1, 1), squash=True, crop_fraction=1.0)
    image = np.zeros((160, 220, 3), np.uint8)
    cv2.circle(image, dot, 6, (255, 255, 255), -1)
    labeled = points([(dot[0] + 0.5, dot[1] + 0.5), (corner[0] + 0.5, corner[1] + 0.5)], [0, 0])
    view = Guide(PROPOSER, 1.0, plain)(image, labeled, seed=seed)
    assert view is not None
    pixels, matrix = view
    x, y = move_points(labeled.xy, matrix)[0]
    light = pixels[0].numpy()
    assert 0 <= x <= 256
    assert 0 <= y <= 256  # padding keeps a region's own points in the view
    rows, columns = np.nonzero(light > 0.5)
    # The dot may be cut by the edge of the view; its point is where its whole disc would be.
    if 30 < x < 226 and 30 < y < 226:
        assert np.hypot(columns.mean() + 0.5 - x, rows.mean() + 0.5 - y) < 1.5


def test_value_the_share_of_guided_views() -> None:
    labeled = points([(10, 10), (30, 30), (90, 80)], [0, 0, 1])
    seen = [guide(0.4).choose_window(labeled, (120, 100), seed=seed) for seed in range(2000)]
    assert np.mean([window is not None for window in seen]) == pytest.approx(0.4, abs=0.04)


def test_each_region_is_as_likely_as_any_other() -> None:
    labeled = points([(5, 5), (25, 25), (150, 150), (190, 190)], [0, 0, 1, 1])
    windows = [guide().choose_window(labeled, (200, 200), seed=seed) for seed in range(600)]
    # Two groups and their union: a third of the windows reaches over both corners' points.
    both = [w is not None and w[0] <= 5 and w[2] >= 190 for w in windows]
    assert np.mean(both) == pytest.approx(1 / 3, abs=0.07)


@pytest.mark.parametrize("source", ["grid", "random"])
def test_controls_need_no_keypoints(source: str) -> None:
    windows = {
        guide(source=source).choose_window(points([], []), (90, 60), seed=s) for s in range(9)
    }
    assert None not in windows
    assert len(windows) > 3


def test_an_image_without_keypoints_has_ordinary_views() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    assert guide()(image, PROPOSER.keypoints(image), seed=0) is None


def test_crop_box_and_augmentation_are_drawn_apart() -> None:
    """One stream would tie crops to boxes and flips.

    From one stream an image that is cropped at all would get boxes and flips of a kind.
    """
    seen: list[int] = []

    class Proposer:
        def draw_boxes(self, points: object, size: object, *, seeds: list[int]) -> object:
            seen.extend(seeds)
            return np.array([[[0, 0, 0.5, 0.5], [0, 0, 1, 1]]]), np.array([[True, True]])

    def transform(image: np.ndarray, *, seed: int) -> tuple[torch.Tensor, np.ndarray]:
        seen.append(seed)
        return torch.zeros(3, 1, 1), np.zeros((3, 2))

    Guide(Proposer(), 1.0, transform)(np.zeros((9, 9, 3), np.uint8), points([], []), seed=5)
    assert len({5, *seen}) == 3


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match=r"crop must be a number in \[0, 1\], got 1.5"):
        guide(1.5)


def test_value_items_are_those_of_the_guide(samples: list[Sample]) -> None:
    ordinary = training_transform(SIDE, "modern", mean=(0, 0, 0), std=(1, 1, 1))
    plain = RegionDataset(samples, ordinary)
    half = RegionDataset(samples, ordinary, guide=guide(0.5))
    same = [
        torch.equal(half[Draw(epoch, i)]["image"], plain[Draw(epoch, i)]["image"])
        for epoch in range(20)
        for i in range(len(samples))
    ]
    assert 0.3 < np.mean(same) < 0.7
    for epoch in range(3):  # the same draw, the same view
        assert torch.equal(half[Draw(epoch, 1)]["image"], half[Draw(epoch, 1)]["image"])


def test_guided_items_have_the_boxes_of_their_moved_points(samples: list[Sample]) -> None:
    plain = EvaluationTransform(SIDE, (0, 0, 0), (1, 1, 1), squash=True, crop_fraction=1.0)
    guided = Guide(PROPOSER, 1.0, plain)
    item = RegionDataset(samples, plain, PROPOSER, guide=guided)[Draw(0, 0)]
    whole = RegionDataset(samples, plain, PROPOSER)[Draw(0, 0)]
    assert item["mask"].any()
    assert not torch.equal(item["image"], whole["image"])
    assert (item["boxes"][item["mask"]] >= 0).all()
    assert (item["boxes"][item["mask"]] <= 1).all()


def test_extreme_one_pixel() -> None:
    window = guide().choose_window(points([(0.5, 0.5)], [0]), (1, 1), seed=0)
    assert window in (None, (0, 0, 1, 1))
