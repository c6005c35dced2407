"""What the charts of studies and searches show."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.evaluation.charts import save_png
from agnet_vision.evaluation.statistics import Interval
from agnet_vision.studies.charts import arm_curves, arm_differences, latency_front
from agnet_vision.studies.comparison import ArmSummary
from agnet_vision.studies.pareto import Candidate

TRIALS = [
    Candidate(0, "over budget", {"lr": 0.00123, "size": 96}, None, 30.0),
    Candidate(1, "front", {"lr": 0.01, "size": 64}, 0.75, 9.0, (0.5, 0.75)),
    Candidate(2, "stopped", {"lr": 0.01, "size": 64}, 0.2, 8.0, (0.2,)),
    Candidate(3, "impossible", {"lr": 0.01, "size": 8}, None, None),
    Candidate(4, "front", {"lr": 0.01, "size": 32}, 0.5, 4.0, (0.4, 0.5)),
    Candidate(5, "finished", {"lr": 0.02, "size": 32}, 0.4, 4.0, (0.4, 0.3)),
]


def test_smoke_plot(tmp_path: Path) -> None:
    figure = latency_front(TRIALS, "mAP", 20.0)
    shown = [line.get_label() for line in figure.axes[0].lines]
    assert shown == ["front", "finished", "stopped", "budget"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["4", "1"]
    save_png(figure, tmp_path / "front.png")


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
        ArmSummary("base", 1, {}, {}, None, 0, 0, 0),
        ArmSummary("a", 1, {}, {}, {"mAP": Interval(0.02, 0.01, 0.04)}, 0, 0, 0),
        ArmSummary("b", 1, {}, {}, {"mAP": Interval(-0.01, nan, nan)}, 0, 0, 0),
    ]
    (axes,) = arm_differences(rows).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["b", "a"]
    assert axes.get_xlabel() == "mAP, points above base"
    drawn = [line.get_xdata() for line in axes.lines]
    assert pytest.approx([1, 4]) in [list(each) for each in drawn]
    assert pytest.approx([-1]) in [list(each) for each in drawn]
