from __future__ import annotations

import subprocess
import sys

import albumentations as A
import cv2
import numpy as np
import pytest

from agnet_vision.data.preprocessing import MAX_ASPECT, EvaluationTransform, move_points
from tests.data.inputs import input_config

SIDE = 96


def textured(height: int, width: int) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 2)


def build(squash: bool = False, **changes: object) -> EvaluationTransform:
    mode = "squash" if squash else "center"
    return EvaluationTransform(input_config(SIDE, crop_mode=mode, **changes))


@pytest.mark.parametrize("crop_fraction", [0.875, 0.95, 1.0])
@pytest.mark.parametrize("squash", [True, False])
def test_value_equals_albumentations_bit_by_bit(squash: bool, crop_fraction: float) -> None:
    """Shapes around the target, odd and even, with every interpolation."""
    rng = np.random.default_rng(1)
    shapes = [tuple(rng.integers(20, 300, 2)) for _ in range(40)]
    shapes += [(SIDE, SIDE), (110, 110), (109, 400), (96, 97), (41, 800)]
    for number, (height, width) in enumerate(shapes):
        name = ("nearest", "bilinear", "bicubic")[number % 3]
        mode = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[number % 3]
        resized = round(SIDE / crop_fraction)
        options = {"interpolation": mode, "area_for_downscale": "image"}
        first = (
            A.Resize(resized, resized, **options)
            if squash
            else A.SmallestMaxSize(resized, **options)
        )
        image = textured(int(height), int(width))
        expected = A.CenterCrop(SIDE, SIDE)(image=first(image=image)["image"])["image"]
        pixels, _ = build(squash, interpolation=name, crop_pct=crop_fraction)(image)
        found = (pixels.permute(1, 2, 0) * 255).round().to(int).numpy()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("squash", [True, False])
def test_value_points_follow_as_albumentations_moves_them(squash: bool) -> None:
    # Of this shape both sides become whole: where they are rounded, albumentations is off by that.
    image, xy = textured(120, 180), np.array([[10.5, 20.25], [170, 3], [85, 65]], np.float32)
    first = A.Resize(110, 110) if squash else A.SmallestMaxSize(110)
    steps = A.Compose(
        [first, A.CenterCrop(SIDE, SIDE)],
        keypoint_params=A.KeypointParams("xy", remove_invisible=False),
    )
    expected = steps(image=image, keypoints=xy)["keypoints"]
    _, matrix = build(squash)(image)
    np.testing.assert_allclose(move_points(xy, matrix), expected, atol=1e-3)


def test_value_normalization() -> None:
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    transform = build(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixels, _ = transform(image)
    assert pixels[:, 0, 0].tolist() == pytest.approx([1.0, 3.0, 1.0])


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (3, 1000), (1, 1)])
def test_extreme_shapes_stay_small(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    middle = np.array([[width / 2, height / 2]], np.float32)
    for squash in (True, False):
        pixels, matrix = build(squash)(image)
        assert pixels.shape == (3, SIDE, SIDE)
        np.testing.assert_allclose(move_points(middle, matrix), [[SIDE / 2] * 2], atol=60)


def test_the_middle_of_a_long_image_is_kept() -> None:
    image = np.zeros((2, 4000, 3), np.uint8)
    image[:, 1990:2010] = 255
    pixels, matrix = build(crop_pct=1.0)(image)
    assert pixels.min() == 1
    left = move_points(np.array([[2000 - MAX_ASPECT, 0]], np.float32), matrix)
    np.testing.assert_allclose(left, [[-MAX_ASPECT * SIDE / 2 + SIDE / 2, 0]])


def test_needs_no_albumentations() -> None:
    code = "import sys, agnet_vision.data.preprocessing; sys.exit('albumentations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
