"""Keypoints: where they lie, which stay, what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agnet_vision.errors import ConfigError
from agnet_vision.regions.keypoints import detect, strongest

WITH_AKAZE = hasattr(cv2, "AKAZE_create")
DETECTORS = ("sift", "orb", "dense", *(("akaze",) if WITH_AKAZE else ()))


def blob(width: int, height: int, x: float, y: float, radius: float = 6.0) -> np.ndarray:
    """Paint a soft dot centered at (x, y), in continuous coordinates."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    gray = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2)


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Paint smooth noise, which has keypoints everywhere."""
    noise = np.random.default_rng(seed).integers(
        0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8
    )
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("detector", DETECTORS)
def test_shape_and_order(detector):
    image = texture(160, 96)
    xy, response = detect(image, detector)
    assert len(xy) > 20
    assert xy.shape == (len(xy), 2)
    assert xy.dtype == response.dtype == np.float32
    assert (xy >= 0).all()
    assert (xy <= (160, 96)).all()
    assert xy[:, 0].max() > 96, "x runs over the width"
    assert (np.diff(response) <= 0).all(), "strongest first"
    assert len(np.unique(xy, axis=0)) == len(xy), "one point a location"


@pytest.mark.parametrize(
    ("width", "height", "x", "y"), [(200, 100, 150.5, 30.5), (100, 200, 30.0, 150.0)]
)
def test_value_blob_center(width, height, x, y):
    xy, _ = detect(blob(width, height, x, y), keep_fraction=1)
    assert np.abs(xy - (x, y)).max(axis=1).min() < 0.1, "half a pixel from OpenCV's"


def test_value_large_image_is_mapped_back():
    xy, _ = detect(blob(1500, 900, 1200.0, 300.0, radius=40), keep_fraction=1, max_side=320)
    assert np.abs(xy - (1200, 300)).max(axis=1).min() < 1.0


def test_value_strongest_half_after_merging_locations():
    points = np.array([[5, 1], [2, 2], [5, 1], [9, 3], [1, 2], [7, 7]], dtype=np.float32)
    response = np.array([0.1, 0.5, 0.9, 0.3, 0.5, 0.2], dtype=np.float32)
    kept, strength = strongest(points, response, 0.5)
    assert kept.tolist() == [[5, 1], [1, 2], [2, 2]], "equal responses: left to right"
    assert strength.tolist() == pytest.approx([0.9, 0.5, 0.5])


def test_value_orb_sees_the_border_and_more_than_500():
    xy, _ = detect(texture(320, 320), "orb", keep_fraction=1)
    assert len(xy) > 500
    assert xy.min() < 15


def test_value_dense_is_a_regular_grid():
    xy, response = detect(np.zeros((60, 120), np.uint8), "dense")
    assert len(xy) == 144
    assert xy[:2].tolist() == [[5.0, 2.5], [15.0, 2.5]]
    assert (response == 1).all()


def test_equal_whatever_the_memory_layout_and_channels():
    image = texture(120, 90)
    expected, _ = detect(image)
    rgba = np.concatenate([image, np.full((90, 120, 1), 7, np.uint8)], axis=2)
    backwards = np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]
    for same in (rgba, backwards, np.asfortranarray(image)):
        np.testing.assert_array_equal(detect(same)[0], expected)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    for same in (gray, gray[..., None]):
        np.testing.assert_array_equal(detect(same)[0], expected)


def test_equal_whatever_the_thread_count():
    before, image = cv2.getNumThreads(), texture(300, 200)
    try:
        cv2.setNumThreads(1)
        alone, _ = detect(image)
        cv2.setNumThreads(4)
        np.testing.assert_array_equal(detect(image)[0], alone)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("detector", [each for each in DETECTORS if each != "dense"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 2), (3, 7), (31, 33)])
def test_empty_and_tiny_images(detector, shape):
    xy, response = detect(np.full((*shape, 3), 255, np.uint8), detector)
    assert len(xy) == len(response) == 0


@pytest.mark.parametrize("detector", DETECTORS)
@given(
    image=st.tuples(st.integers(1, 48), st.integers(1, 48), st.sampled_from([1, 3, 4])).flatmap(
        lambda shape: arrays(np.uint8, shape)
    )
)
@settings(max_examples=40, deadline=None)
def test_property_any_image(detector, image):
    xy, response = detect(image, detector)
    assert np.isfinite(xy).all()
    assert np.isfinite(response).all()
    assert (xy >= 0).all()
    assert (xy <= (image.shape[1], image.shape[0])).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9, 3), np.float32), [[0, 1], [1, 0]], None, np.zeros((9, 9, 3), np.uint16)],
)
def test_raises_type(image):
    with pytest.raises(TypeError, match=r"uint8|image"):
        detect(image)


@pytest.mark.parametrize("shape", [(0, 9, 3), (9, 0), (9, 9, 2), (9,), (2, 9, 9, 3)])
def test_raises_shape(shape):
    with pytest.raises(ValueError, match="height, width, 3"):
        detect(np.zeros(shape, np.uint8))


@pytest.mark.skipif(WITH_AKAZE, reason="this OpenCV has AKAZE")
def test_raises_detector_that_this_opencv_lacks():
    with pytest.raises(ConfigError, match="detector=akaze is not part of OpenCV"):
        detect(texture(64, 64), "akaze")
