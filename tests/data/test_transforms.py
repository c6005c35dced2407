from __future__ import annotations

from typing import get_args

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.choices import Preset
from agnet_vision.data.preprocessing import (
    EvaluationTransform,
    ImageTransform,
    data_config,
    move_points,
)
from agnet_vision.data.transforms import TrainingTransform, training_transform
from tests.data.inputs import input_config

SIDE = 96


def build(train: bool, preset: Preset) -> ImageTransform:
    view = {"view": "crop", "crop_fraction": 0.875, "test_scale": 1.0}
    config = input_config(SIDE, **data_config(preset, SIDE, **view))
    return training_transform(config, preset) if train else EvaluationTransform(config)


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
@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(120, 400),
    height=st.integers(120, 400),
    place=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    seed=st.integers(0, 2**32 - 1),
)
def test_marked_pixel_lands_where_the_point_says(
    preset: Preset, train: bool, width: int, height: int, place: tuple[float, float], seed: int
) -> None:
    x, y = place[0] * width, place[1] * height
    image = dot_image(width, height, x, y, radius=min(width, height) / 30)
    moved, matrix = build(train, preset)(image, seed=seed)
    assert moved.shape == (3, SIDE, SIDE)
    xy = move_points(np.array([[x, y]], np.float32), matrix)
    if (xy > 12).all() and (xy < SIDE - 12).all():  # the whole dot is in the frame
        assert center_of(moved.numpy().mean(axis=0)) == pytest.approx(tuple(xy[0]), abs=0.4)


def test_steps_draw_independently() -> None:
    transform = build(True, "modern")
    image = np.zeros((60, 80, 3), np.uint8)
    corners = np.array([[0, 0], [80, 0]], np.float32)
    seen = set()
    for seed in range(60):
        left, right = move_points(corners, transform(image, seed=seed)[1])
        seen.add((bool(right[0] < left[0]), bool(abs(right[1] - left[1]) > 1e-3)))
    assert len(seen) == 4  # flipped or not, rotated or not


def test_flip_is_exact() -> None:
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
