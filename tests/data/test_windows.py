"""Windows lie inside an image and hold what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnet_vision.data.windows import ASPECT, MIN_AREA, around


@given(
    low=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    image_size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    padding=st.floats(0, 0.5),
)
def test_property_windows_hold_their_box_inside_the_image(
    low: tuple[float, float],
    share: tuple[float, float],
    image_size: tuple[int, int],
    padding: float,
) -> None:
    size = np.array(image_size)
    start = np.array(low) * size
    box = np.concatenate([start, start + np.array(share) * (size - start)])
    x0, y0, x1, y1 = around(box, image_size, padding=padding)
    assert 0 <= x0 < x1 <= image_size[0]
    assert 0 <= y0 < y1 <= image_size[1]
    assert x0 <= box[0] + 1e-6
    assert y0 <= box[1] + 1e-6
    assert x1 >= box[2] - 1e-6
    assert y1 >= box[3] - 1e-6


def test_value_windows() -> None:
    # 40 x 80 becomes 60 x 80 for the shape, which is a fifth of the image already.
    assert around(np.array([50, 60, 90, 140]), (150, 160), padding=0) == (40, 60, 100, 140)
    # Padded by half on each side: 80 x 160, then 120 x 160.
    assert around(np.array([100, 100, 140, 180]), (300, 300), padding=0.5) == (60, 60, 180, 220)
    x0, y0, x1, y1 = around(np.array([500, 500, 501, 501]), (1000, 1000), padding=0)
    assert (x1 - x0) * (y1 - y0) == pytest.approx(MIN_AREA * 1e6, rel=0.01)
    assert ASPECT[0] <= (x1 - x0) / (y1 - y0) <= ASPECT[1]
