"""Marks as signed distances."""

from __future__ import annotations

import numpy as np
import pytest

from agnet_vision.data.demo.marks import MARKS, mark_distance


@pytest.mark.parametrize("mark", MARKS)
def test_marks_cover_one_area(mark):
    axis = np.arange(-2.5, 2.5, 0.01)
    inside = mark_distance(mark, *np.meshgrid(axis, axis)) < 0
    assert inside.sum() * 1e-4 == pytest.approx(np.pi, rel=0.01)
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
