"""The table of a study, by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.statistics import Interval
from agnet_vision.studies.comparison import ArmSummary
from agnet_vision.studies.study import Study, run_folder, run_study
from agnet_vision.studies.table import arm_differences, summarize_runs, summarize_study
from tests.studies.stand_ins import Trainer


def test_value_table(tmp_path: Path, trainer: Trainer, study: Study) -> None:
    run_study(study, tmp_path)
    rows = summarize_study(study, tmp_path)
    plain, slow = rows
    runs = [run_folder(tmp_path, arm, s).read_metrics() for arm in study.arms for s in (0, 1)]
    maps = [each["mAP"] for each in runs]
    assert plain.mean["mAP"] == pytest.approx(np.mean(maps[:2]))
    assert slow.deviation["mAP"] == pytest.approx(np.std(maps[2:], ddof=1))
    difference = slow.difference["mAP"]
    assert difference.value == pytest.approx(np.mean(maps[2:]) - np.mean(maps[:2]))
    assert difference.low < difference.value < difference.high
    assert (slow.seconds, slow.images_seen, slow.parameters, slow.forward_ms) == (100, 10, 3, 2.0)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(
        "Which?\n\n- *plain*: `model=backbone_only`\n- *slow*: `model=full`\n\n| "
    )
    assert "| baseline |" in text
    stored = json.loads((tmp_path / "study.json").read_text())
    assert [row["name"] for row in stored["rows"]] == ["plain", "slow"]
    assert (tmp_path / "differences.png").stat().st_size > 1000


def test_runs_of_any_training_are_sorted_into_arms(
    tmp_path: Path, trainer: Trainer, study: Study
) -> None:
    run_study(study, tmp_path)
    folders = [run_folder(tmp_path, arm, s).path for arm in study.arms for s in (0, 1)]
    rows = summarize_runs(folders, tmp_path / "out")
    assert [(row.name, row.count) for row in rows] == [
        ("model=backbone_only", 2),
        ("model=full", 2),
    ]
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    with pytest.raises(ConfigError, match="repeats another run"):
        summarize_runs([*folders, copy], tmp_path / "out")
    with pytest.raises(ConfigError, match=r"there is no .*config\.yaml"):
        summarize_runs([tmp_path], tmp_path / "out")


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
