from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.data.preprocessing import Preset, data_config, evaluation_transform, move_points
from agnet_vision.data.transforms import TrainingTransform, training_transform
from agnet_vision.regions.boxes import boxes_from_keypoints

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SIDE = 96


def build(train: bool, preset: str):
    if train:
        return training_transform(SIDE, preset, **PLAIN)
    config = {**data_config(preset, SIDE), **PLAIN, "interpolation": "bilinear"}
    return evaluation_transform(config)


def dot_image(width: int, height: int, x: float, y: float, radius: float) -> np.ndarray:
    """Paint a bright Gaussian dot around a continuous position (x, y)."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat((255 * dot).astype(np.uint8)[..., None], 3, axis=2)


def center_of(image: np.ndarray) -> tuple[float, float]:
    """Find the dot, in continuous coordinates, by the center of mass of its bright half."""
    weight = np.where(image > image.max() / 2, image, 0)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("preset", get_args(Preset))
def test_smoke(preset: str, train: bool) -> None:
    transform = build(train, preset)
    image, matrix = transform(np.zeros((50, 70, 3), np.uint8))
    assert image.shape == (3, SIDE, SIDE)
    assert matrix.shape == (3, 2)
    for count in (0, 3):
        xy = move_points(np.ones((count, 2), np.float32), matrix)
        assert xy.dtype == np.float32
        assert xy.shape == (count, 2)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("preset", get_args(Preset))
@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(120, 400),
    height=st.integers(120, 400),
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    seed=st.integers(0, 2**32 - 1),
)
def test_marked_pixel_lands_where_the_point_says(
    preset: str, train: bool, width: int, height: int, place: tuple[float, float], seed: int
) -> None:
    x, y = place[0] * width, place[1] * height
    image = dot_image(width, height, x, y, radius=min(width, height) / 30)
    moved, matrix = build(train, preset)(image, seed=seed)
    xy = move_points(np.array([[x, y]], np.float32), matrix)
    if (xy > 12).all() and (xy < SIDE - 12).all():  # the whole dot is in the frame
        assert center_of(moved.numpy().mean(axis=0)) == pytest.approx(tuple(xy[0]), abs=0.4)


@pytest.mark.parametrize("preset", get_args(Preset))
@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(20, 300),
    height=st.integers(20, 300),
    count=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_boxes_enclose_exactly_the_moved_points_in_the_frame(
    preset: str, width: int, height: int, count: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    xy = (generator.random((count, 2)) * (width, height)).astype(np.float32)
    group = generator.integers(0, 4, count)
    image = np.zeros((height, width, 3), np.uint8)
    moved = move_points(xy, build(True, preset)(image, seed=seed)[1])
    inside = ((moved >= 0) & (moved <= SIDE)).all(axis=1)
    expected = {}
    for label in np.unique(group[inside]):
        points = moved[inside & (group == label)]
        expected[tuple(points.mean(axis=0)[::-1])] = (points.min(axis=0), points.max(axis=0))
    boxes, mask = boxes_from_keypoints(moved, group, (SIDE, SIDE), 4)
    assert mask[:4].sum() == len(expected)
    for box, (low, high) in zip(
        boxes[:4] * SIDE, [expected[key] for key in sorted(expected)], strict=False
    ):
        # A side thinner than a pixel is one pixel thick, around its points and within the frame.
        thin = high - low < 1
        start, stop = box[:2], box[2:]
        np.testing.assert_allclose(np.where(thin, low, start), low, atol=1e-3)
        np.testing.assert_allclose(np.where(thin, high, stop), high, atol=1e-3)
        np.testing.assert_allclose((stop - start)[thin], 1, atol=1e-3)
        assert (start <= low + 1e-3).all()
        assert (stop >= high - 1e-3).all()
        assert (box >= 0).all()
        assert (box <= SIDE + 1e-3).all()


def test_steps_draw_independently() -> None:
    transform = build(True, "modern")
    image = np.zeros((60, 80, 3), np.uint8)
    corners = np.array([[0, 0], [80, 0]], np.float32)
    seen = set()
    for seed in range(60):
        left, right = move_points(corners, transform(image, seed=seed)[1])
        seen.add((bool(right[0] < left[0]), bool(abs(right[1] - left[1]) > 1e-3)))
    assert len(seen) == 4  # flipped or not, rotated or not


def test_bent_image_raises() -> None:
    import albumentations as A

    bend = TrainingTransform([A.Perspective(scale=(0.1, 0.2), p=1)], (0, 0, 0), (1, 1, 1))
    image = np.zeros((90, 90, 3), np.uint8)
    with pytest.raises(RuntimeError, match="affine"):
        bend(image)


def test_flip_is_exact() -> None:
    import albumentations as A

    transform = TrainingTransform([A.HorizontalFlip(p=1)], (0, 0, 0), (1, 1, 1))
    _, matrix = transform(np.zeros((10, 30, 3), np.uint8))
    xy = move_points(np.array([[0, 4], [30, 4.5]], np.float32), matrix)
    np.testing.assert_allclose(xy, [[30, 4], [0, 4.5]], atol=1e-5)


def test_seed_decides() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    transform = build(True, "modern")
    first, matrix = transform(image, seed=1)
    other, _ = transform(image, seed=2)
    again, same = build(True, "modern")(image, seed=1)
    assert (first == again).all()
    assert (matrix == same).all()
    assert not (first == other).all()
