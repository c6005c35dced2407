"""Boxes by a slow oracle and by hand, and controls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agnet_vision.regions.boxes import boxes_from_keypoints, grid_boxes, random_boxes, union_boxes
from agnet_vision.regions.grouping import group_points
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import num_regions
from tests.regions import reference as reference_regions
from tests.regions.test_keypoints import texture


def labeled_points(seed: int, points: int = 60, groups: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-20, 220, (points, 2)).astype(np.float32), rng.integers(0, groups, points)


def check_invariants(boxes, mask, num_clusters):
    assert boxes.shape == (num_regions(num_clusters), 4)
    assert boxes.dtype == np.float32
    assert mask.dtype == bool
    assert boxes[-1].tolist() == [0, 0, 1, 1]
    assert mask[-1]
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[~mask] == 0).all()
    assert (boxes[mask, 2:] > boxes[mask, :2]).all(), "every region has an area"
    present = int(mask[:num_clusters].sum())
    assert mask[:present].all(), "groups fill the first slots"
    assert mask.sum() == present * (present + 1) // 2 + 1


def test_value_hand_worked():
    xy = np.array([[10, 40], [30, 60], [150, 10], [190, 30]], dtype=np.float32)
    boxes, mask = boxes_from_keypoints(xy, np.array([0, 0, 5, 5]), (200, 100), 2)
    expected = [
        [0.75, 0.1, 0.95, 0.3],
        [0.05, 0.4, 0.15, 0.6],
        [0.05, 0.1, 0.95, 0.6],
        [0, 0, 1, 1],
    ]
    np.testing.assert_allclose(boxes, expected, atol=1e-7)
    assert mask.all()


def test_value_corner_of_a_wide_image():
    (boxes,), (mask,) = RegionProposer(keep_fraction=1)(
        [np.hstack([np.zeros((80, 240, 3), np.uint8), texture(60, 80)])]
    )
    assert mask[0]
    primary = boxes[:8][mask[:8]]
    assert (primary[:, 0] > 0.75).all(), "x is a fraction of the width"
    assert primary[:, 1].min() < 0.3
    assert primary[:, 3].max() > 0.7


def test_value_single_point_is_one_pixel_wide():
    for x, y in ((50.0, 20.0), (0.0, 0.0), (100.0, 40.0)):
        point = np.array([[x, y]], np.float32)
        boxes, mask = boxes_from_keypoints(point, np.array([3]), (100, 40), 8)
        check_invariants(boxes, mask, 8)
        np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], (1 / 100, 1 / 40), atol=1e-6)
    boxes, mask = boxes_from_keypoints(np.array([[0.3, 0.5]], np.float32), np.array([0]), (1, 1), 8)
    assert boxes[0].tolist() == [0, 0, 1, 1]


def test_value_a_mirror_keeps_the_slots():
    xy, group = labeled_points(2)
    boxes, _ = boxes_from_keypoints(xy, group, (200, 150))
    mirrored, _ = boxes_from_keypoints(xy * (-1, 1) + (200, 0), group, (200, 150))
    np.testing.assert_allclose(
        mirrored[:-1], boxes[:-1][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (1, 0, 1, 0), atol=1e-6
    )


def test_value_refit_after_an_affine_map_gives_the_same_boxes():
    points = RegionProposer().keypoints(texture(200, 150))
    matrix = np.array([[0.9, -0.2], [0.15, 0.8]])
    moved = (points.xy.astype(np.float64) @ matrix.T + (30, 5)).astype(np.float32)
    refit = boxes_from_keypoints(moved, group_points([moved])[0], (220, 180))
    kept = boxes_from_keypoints(moved, points.group, (220, 180))
    np.testing.assert_array_equal(refit[1], kept[1])
    np.testing.assert_allclose(refit[0], kept[0], atol=1e-6)


@given(
    xy=st.integers(0, 40).flatmap(
        lambda n: arrays(np.float32, (n, 2), elements=st.floats(-50, 350, width=32))
    ),
    seed=st.integers(0, 99),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@settings(max_examples=60, deadline=None)
def test_property_boxes(xy, seed, size):
    group = np.random.default_rng(seed).integers(0, 5, len(xy))
    boxes, mask = boxes_from_keypoints(xy, group, size, 5)
    check_invariants(boxes, mask, 5)
    expected, expected_mask = reference_regions.boxes(xy, group, size, 5)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(boxes, expected, atol=1e-5)


@pytest.mark.parametrize("kappa", [1, 2, 3, 7, 8, 9, 12])
def test_value_controls(kappa):
    boxes, mask = grid_boxes(kappa)
    check_invariants(boxes, mask, kappa)
    areas = (boxes[:kappa, 2:] - boxes[:kappa, :2]).prod(axis=1)
    np.testing.assert_allclose(areas, 1 / kappa, rtol=1e-5)
    assert mask.all()
    first, again = (random_boxes(kappa, np.random.default_rng(5)) for _ in range(2))
    check_invariants(*first, kappa)
    np.testing.assert_array_equal(first[0], again[0])


def test_value_grid_of_eight():
    boxes, _ = grid_boxes(8)
    assert boxes[1].tolist() == [0.25, 0, 0.5, 0.5]
    assert boxes[4].tolist() == [0, 0.5, 0.25, 1]
    np.testing.assert_array_equal(union_boxes(boxes[:8], 8)[0], boxes)


def test_raises_boxes():
    xy, group = labeled_points(0)
    with pytest.raises(ValueError, match=r"num_clusters must be .* got 4 for 8 groups"):
        boxes_from_keypoints(xy, group, (200, 150), 4)
    with pytest.raises(ValueError, match="image_size"):
        boxes_from_keypoints(xy, group, (0, 150))
