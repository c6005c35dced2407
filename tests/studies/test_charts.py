"""What the charts of studies show."""

from __future__ import annotations

import pytest

from agnet_vision.evaluation.statistics import Interval
from agnet_vision.studies.charts import arm_curves, arm_differences
from agnet_vision.studies.comparison import ArmSummary


def test_value_curves_are_means_over_the_seeds() -> None:
    one = [{"epoch": 0, "val/mAP": 0.2}, {"epoch": 1, "train/loss": 3.0}]
    two = [{"epoch": 0, "val/mAP": 0.4}, {"epoch": 1, "val/mAP": 0.6}]
    (line,) = arm_curves({"plain": [one, two]}).axes[0].lines
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == pytest.approx([0.3, 0.6])
    assert line.get_label() == "plain"


def test_value_differences_are_in_points() -> None:
    nan = float("nan")
    rows = [
        ArmSummary("base", 1, {}, {}, {}, 0, 0, 0),
        ArmSummary("a", 1, {}, {}, {"mAP": Interval(0.02, 0.01, 0.04)}, 0, 0, 0),
        ArmSummary("b", 1, {}, {}, {"mAP": Interval(-0.01, nan, nan)}, 0, 0, 0),
    ]
    (axes,) = arm_differences(rows).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["b", "a"]
    assert axes.get_xlabel() == "mAP, points above base"
    drawn = [line.get_xdata() for line in axes.lines]
    assert pytest.approx([1, 4]) in [list(each) for each in drawn]
    assert pytest.approx([-1]) in [list(each) for each in drawn]
