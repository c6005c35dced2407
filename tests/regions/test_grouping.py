"""The mathematics against slow oracles, and its invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import adjusted_rand_score

from agnet_vision.regions.grouping import (
    count_components,
    group_points,
    number_by_position,
    whiten,
)

FAST = {"max_examples": 25, "deadline": None}


def clouds(seed: int, points: int = 160, centers: int = 8, spread: float = 9.0) -> np.ndarray:
    """Scatter points about random centers in 224 x 224, each cloud stretched its own way."""
    rng = np.random.default_rng(seed)
    center = rng.uniform(20, 204, (centers, 2))
    stretch = rng.normal(0, spread, (centers, 2, 2))
    which = rng.integers(0, centers, points)
    xy = center[which] + np.einsum("nij,nj->ni", stretch[which], rng.normal(size=(points, 2)))
    return np.clip(xy, 0, 224).astype(np.float32)


def many_sets() -> list[np.ndarray]:
    """Collect point sets of all sizes: ties, lines, copies and none, too."""
    grid = np.indices((12, 12)).reshape(2, -1).T.astype(np.float32)
    line = np.linspace(0, 99, 50, dtype=np.float32)[:, None] * np.array([[1, 2]], np.float32)
    angle = np.arange(64) * math.pi / 32
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    sizes = (0, 1, 2, 3, 8, 9, 10, 40, 127, 128, 129, 300, 700)
    return [grid, line, ring, np.ones((30, 2), np.float32), *(clouds(size, size) for size in sizes)]


def test_value_numbers_without_gaps_top_to_bottom_then_left_to_right():
    xy = np.array([[9, 5], [1, 5], [4, 1], [4, 1]], dtype=np.float32)
    assert number_by_position(xy, np.array([7, 3, 5, 5])).tolist() == [2, 1, 0, 0]
    assert number_by_position(xy[:0], np.zeros(0, np.int32)).dtype == np.int64


def test_value_separated_clouds_are_found():
    rng = np.random.default_rng(3)
    centers = np.array([(x, y) for y in (20, 120, 200) for x in (30, 110, 190)][:8])
    truth = np.repeat(np.arange(8), 25)
    xy = (centers[truth] + rng.normal(0, 3, (200, 2))).astype(np.float32)
    for method in ("em", "sklearn"):
        (labels,) = group_points([xy], method=method)
        assert adjusted_rand_score(labels, truth) == 1, method


def test_equal_whatever_the_batch_the_order_and_the_threads():
    sets = many_sets()
    alone = [group_points([xy])[0] for xy in sets]
    together = group_points(sets)
    order = np.random.default_rng(0).permutation(len(sets))
    shuffled = group_points([sets[i] for i in order])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        threaded = group_points(sets * 9)[: len(sets)]
    finally:
        torch.set_num_threads(before)
    for index, labels in enumerate(alone):
        np.testing.assert_array_equal(labels, together[index])
        np.testing.assert_array_equal(labels, shuffled[int(np.flatnonzero(order == index)[0])])
        np.testing.assert_array_equal(labels, threaded[index])


def test_value_seed_decides_and_is_the_only_randomness():
    sets = [clouds(seed) for seed in range(4)]
    first, again, other = (group_points(sets, seed=seed) for seed in (0, 0, 7))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "matrix", [[[0, 1], [-1, 0]], [[-1, 0], [0, 1]], [[3, 0], [0, 0.5]], [[1.2, 0.7], [-0.3, 0.8]]]
)
def test_value_affine_equivariance(matrix):
    for seed in range(5):
        xy = clouds(seed)
        moved = (xy.astype(np.float64) @ np.array(matrix).T + (31, -17)).astype(np.float32)
        (labels,), (moved_labels,) = group_points([xy]), group_points([moved])
        assert adjusted_rand_score(labels, moved_labels) == 1


@pytest.mark.parametrize("method", ["em", "sklearn"])
def test_empty_few_and_degenerate_points(method):
    sets = many_sets()
    found = group_points(sets, method=method)
    for xy, labels in zip(sets, found, strict=True):
        groups = len(set(labels.tolist()))
        assert len(labels) == len(xy)
        assert groups <= min(2 if len(xy) < 9 else 8, len(np.unique(xy, axis=0)))
        assert groups >= min(1, len(xy))
    assert group_points([]) == []


@pytest.mark.parametrize(
    ("points", "clusters", "expected"),
    [(0, 8, 0), (1, 8, 1), (2, 8, 2), (8, 8, 2), (9, 8, 8), (9, 1, 1), (12, 16, 2)],
)
def test_value_component_count(points, clusters, expected):
    assert count_components(points, clusters) == expected


def test_value_whitened_points_have_unit_covariance():
    white = whiten(clouds(5) * (30, 0.01))
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(2), atol=1e-6)


@given(
    xy=st.integers(0, 60).flatmap(
        lambda n: arrays(np.float32, (n, 2), elements=st.floats(-1e4, 1e4, width=32))
    )
)
@settings(**FAST)
def test_property_any_points(xy):
    (labels,) = group_points([xy])
    assert len(labels) == len(xy)
    assert sorted(set(labels.tolist())) == list(range(len(set(labels.tolist()))))
    assert len(set(labels.tolist())) <= 8


@given(
    cells=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60),
    clusters=st.integers(1, 12),
)
@settings(**FAST)
def test_property_ties_and_duplicates_do_not_depend_on_the_batch(cells, clusters):
    xy = np.array(cells, dtype=np.float32).reshape(-1, 2)
    alone = group_points([xy], clusters)[0]
    np.testing.assert_array_equal(
        alone, group_points([clouds(0, 90), xy, clouds(1, 100), xy[::-1]], clusters)[1]
    )
    for cell in set(cells):
        assert len(np.unique(alone[(xy == cell).all(axis=1)])) == 1, "equal points belong together"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_raises_not_finite(value):
    with pytest.raises(ValueError, match="points must be finite, got NaN or infinity in image 1"):
        group_points([np.zeros((3, 2), np.float32), np.array([[1, value]], np.float32)])
