from __future__ import annotations

import subprocess
import sys

import albumentations as A
import cv2
import numpy as np
import pytest

from agnet_vision.choices import Preset, Shown
from agnet_vision.data.preprocessing import (
    MAX_ASPECT,
    EvaluationTransform,
    change_view,
    data_config,
    move_points,
)
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


def marks() -> tuple[np.ndarray, np.ndarray]:
    """Paint a black wide image with a mark at its top, in its middle, and at its left end."""
    image = np.zeros((120, 240, 3), np.uint8)
    places = np.array([[120, 4], [120, 60], [4, 60]], np.float32)
    for x, y in places.astype(int):
        image[y - 4 : y + 4, x - 4 : x + 4] = 255
    return image, places


@pytest.mark.parametrize(
    ("view", "crop_fraction", "expected"),
    [
        ("crop", 0.8, [False, True, False]),  # the middle
        ("crop", 1.0, [True, True, False]),  # all of the short side
        ("whole", 0.8, [True, True, True]),
    ],
)
@pytest.mark.parametrize("test_scale", [1.0, 1.3])
def test_value_what_a_view_shows(
    view: Shown, crop_fraction: float, expected: list[bool], test_scale: float
) -> None:
    """Marks are seen, and their points move with them, at any size."""
    options = {"view": view, "crop_fraction": crop_fraction, "test_scale": test_scale}
    described = data_config("modern", SIDE, **options)
    side = described["input_size"][-1]
    assert side == (SIDE if test_scale == 1 else 128)  # 124.8, rounded
    image, places = marks()
    pixels, matrix = EvaluationTransform(input_config(SIDE, **described))(image)
    assert pixels.shape == (3, side, side)

    moved = move_points(places, matrix)
    inside = ((moved >= 0) & (moved <= side)).all(axis=1)
    assert inside.tolist() == expected
    for x, y in moved[inside].astype(int):
        assert pixels[0, y, x] > 0.9
    corner = np.linalg.solve(matrix[:2].T, [side, side] - matrix[2])  # of the frame, in the image
    seen = {"whole": [240, 120], "crop": [120 + 60 * crop_fraction, 60 + 60 * crop_fraction]}
    np.testing.assert_allclose(corner, seen[view], atol=1)


@pytest.mark.parametrize(
    ("preset", "mode"), [("modern", "center"), ("paper", "squash"), ("none", "squash")]
)
def test_value_the_preset_decides_the_shape_of_a_crop(preset: Preset, mode: str) -> None:
    config = data_config(preset, SIDE, view="crop", crop_fraction=0.875, test_scale=1.0)
    assert (config["crop_mode"], config["crop_pct"]) == (mode, 0.875)


@pytest.mark.parametrize(
    ("image_size", "test_scale", "side"),
    [(160, 1.2, 192), (160, 1.4, 224), (288, 1.2, 352), (100, 1.0, 100), (8, 1.2, 32)],
)
def test_value_a_larger_test_is_of_whole_cells(
    image_size: int, test_scale: float, side: int
) -> None:
    options = {"view": "crop", "crop_fraction": 1.0, "test_scale": test_scale}
    assert data_config("modern", image_size, **options)["input_size"] == (3, side, side)


def test_raises_on_a_test_that_is_too_large() -> None:
    with pytest.raises(ValueError, match=r"input_size must be a whole number in .*, got 16000"):
        data_config("modern", 4000, view="crop", crop_fraction=1.0, test_scale=4.0)


def test_value_another_view_changes_what_is_asked_for_alone() -> None:
    config = input_config(SIDE)
    assert change_view(config) == config
    larger = change_view(config, image_size=128)
    assert larger == {**config, "input_size": (3, 128, 128)}
    whole = change_view(config, view="whole")
    assert whole == {**config, "crop_mode": "squash", "crop_pct": 1.0}
    assert change_view(whole, view="crop") == {**config, "crop_pct": 1.0}
    gray = {**config, "input_size": (1, 64, 64)}
    assert change_view(gray, image_size=96)["input_size"] == (1, 96, 96)


def test_needs_no_albumentations() -> None:
    code = "import sys, agnet_vision.data.preprocessing; sys.exit('albumentations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
