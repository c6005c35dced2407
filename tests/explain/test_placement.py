"""Labels beside each other."""

from __future__ import annotations

import numpy as np

from agnet_vision.explain.placement import place_labels


def test_value_labels_of_one_box_do_not_cover_each_other() -> None:
    box = np.array([20.0, 20.0, 60.0, 60.0])
    places = place_labels((100, 100), [box] * 12, ["1: 10.0%"] * 12)
    width, height = 100 * (0.02 + 0.026 * 8), 7.5
    for number, (x, y) in enumerate(places):
        assert width / 2 <= x <= 100 - width / 2
        assert height / 2 <= y <= 100 - height / 2
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) >= width - 1e-9 or abs(y - other_y) >= height - 1e-9


def test_value_the_first_label_stands_in_the_corner_of_its_box() -> None:
    (place,) = place_labels((100, 200), [np.array([40.0, 30.0, 90.0, 80.0])], ["3"])
    assert place == (40 + 200 * 0.046 / 2, 30 + 120 * 0.075 / 2)


def test_value_a_full_image_has_no_place_left() -> None:
    boxes = [np.array([0.0, 0.0, 10.0, 10.0])] * 400
    assert place_labels((10, 10), boxes, ["whole: 99.9%"] * 400)[-1] is None
