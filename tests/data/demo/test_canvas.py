"""What scenes are painted with, by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agnet_vision.data.demo.canvas import Canvas, cover, diffuse, ellipse, relief, soften

SIDE = 20
RED = np.array([1, 0, 0], np.float32)[:, None, None]


@pytest.fixture
def canvas() -> Canvas:
    """A gray image with the light from the right."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    x, y = np.meshgrid(axis, axis)
    return Canvas(np.full((3, SIDE, SIDE), 0.5, np.float32), x, y, 1 / SIDE, (1.0, 0.0))


def test_value_painting_a_window_paints_the_image(canvas: Canvas) -> None:
    part = canvas.window((0.25, 0.75), 0.12)
    assert part.rgb.shape == (3, 6, 6)
    part.blend(np.ones((6, 6), np.float32), RED)
    assert (canvas.rgb[:, 12:18, 2:8] == RED).all()
    assert np.count_nonzero(canvas.rgb != 0.5) == 3 * 36


def test_a_window_outside_has_a_pixel(canvas: Canvas) -> None:
    assert canvas.window((-1, -1), 0.01).rgb.size > 0


def test_value_local_coordinates(canvas: Canvas) -> None:
    x, y = canvas.local((0.5, 0.5), math.pi / 2, 0.25)
    # A quarter turn: what lies above in the image lies to the left in the frame.
    np.testing.assert_allclose(x, (canvas.y - 0.5) / 0.25, atol=1e-5)
    np.testing.assert_allclose(y, -(canvas.x - 0.5) / 0.25, atol=1e-5)


def test_value_blend_is_linear(canvas: Canvas) -> None:
    canvas.blend(np.full((SIDE, SIDE), 0.25, np.float32), RED)
    np.testing.assert_allclose(canvas.rgb[:, 0, 0], [0.625, 0.375, 0.375])


def test_a_shadow_falls_away_from_the_light(canvas: Canvas) -> None:
    distance = ellipse(canvas.x - 0.5, canvas.y - 0.5, 0.15, 0.15)
    canvas.shadow(distance, 0.2, 0.5)
    darkest = np.unravel_index(canvas.rgb[0].argmin(), (SIDE, SIDE))
    assert canvas.x[darkest] < 0.4
    assert 0.25 <= canvas.rgb.min() < 0.35
    assert canvas.rgb.max() <= 0.5


def test_the_side_to_the_light_is_brighter(canvas: Canvas) -> None:
    x, y = canvas.local((0.5, 0.5), 0.0, 0.5)
    facing = canvas.facing(x, y, 0.0)
    assert facing[10, 15] > facing[10, 10] > facing[10, 4]
    assert facing.min() >= 0
    assert facing.max() <= 1


def test_strokes_cover_what_is_on_the_line(canvas: Canvas) -> None:
    canvas.strokes([np.array([[0.1, 0.5], [0.9, 0.5]])], 0.2, RED, shadow=0.0)
    np.testing.assert_allclose(canvas.rgb[:, 10, 10], [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(canvas.rgb[:, 2, 10], 0.5, atol=1e-3)


def test_value_cover_and_diffuse() -> None:
    distance = np.array([[-1, -0.05, 0, 0.05, 1]], np.float32)
    np.testing.assert_allclose(cover(distance, 0.2), [[1, 0.75, 0.5, 0.25, 0]], atol=1e-6)
    np.testing.assert_allclose(diffuse(np.array([[0.0, 1.0]])), [[0.35, 1.1]])


def test_value_ellipse_is_the_distance_near_its_outline() -> None:
    x, y = np.array([[1.0, 1.01, 0.0, 0.5]]), np.array([[0.0, 0.0, 0.51, 0.0]])
    found = ellipse(x, y, 1.0, 0.5)
    np.testing.assert_allclose(found[0, :3], [0, 0.01, 0.01], atol=3e-4)
    assert found[0, 3] < 0


def test_value_relief_has_unit_deviation_and_is_finer_where_rougher() -> None:
    smooth, rough = (relief(np.random.default_rng(0), 64, r) for r in (0.3, 1.0))
    for field in (smooth, rough):
        assert field.mean() == pytest.approx(0, abs=1e-5)
        assert field.std() == pytest.approx(1, abs=1e-5)
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


def test_soften_keeps_the_mean() -> None:
    rgb = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)
    before, spread = rgb.mean(), rgb.std()
    soften(rgb, 2.0)
    assert rgb.mean() == pytest.approx(before, abs=0.02)
    assert rgb.std() < 0.5 * spread
