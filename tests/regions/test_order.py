from __future__ import annotations

import numpy as np

from agnet_vision.regions.order import number_by_position, order_by_position


def test_value_top_to_bottom_then_left_to_right():
    means = np.array([[9.0, 5.0], [1.0, 5.0], [4.0, 1.0]])
    assert order_by_position(means).tolist() == [2, 1, 0]
    assert order_by_position(means, np.array([0, 1, 1])).tolist() == [0, 2, 1]


def test_value_numbers_without_gaps():
    xy = np.array([[9, 5], [1, 5], [4, 1], [4, 1]], dtype=np.float32)
    assert number_by_position(xy, np.array([7, 3, 5, 5])).tolist() == [2, 1, 0, 0]


def test_empty():
    found = number_by_position(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))
    assert found.dtype == np.int64
    assert len(found) == 0
