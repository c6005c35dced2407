"""What the report says of single labels, against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from agnet_vision.evaluation.label_report import rows_by_label
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.task import UNKNOWN, MultiLabel


def test_value_calibration_of_each_label(tmp_path: Path) -> None:
    """Scikit-learn's bins of equally many; what is unknown takes no part."""
    rng = np.random.default_rng(0)
    probability = rng.random((300, 3)).astype(np.float32)
    label = (rng.random((300, 3)) < probability ** [1, 2, 0.5]).astype(int)
    label[:60, 2] = UNKNOWN
    label[:, 1] = 0
    label[7, 1] = 1
    classes = ("ant", "bee", "cat")
    found = Predictions(torch.arange(300), *map(torch.from_numpy, (label, probability)))
    scores = {"dataset": "folder", "split": "test", **score(found, classes, MultiLabel())}
    paths = [Path(f"{number}.jpg") for number in range(300)]
    RunFolder(tmp_path).write_results(scores, found, paths, classes, Path(), MultiLabel())

    rows = dict(rows_by_label(RunFolder(tmp_path).read_results()))
    for k, (name, bins) in enumerate(zip(classes, (15, 15, 12), strict=True)):
        known = label[:, k] != UNKNOWN
        parts = calibration_curve(
            label[known, k], probability[known, k], n_bins=bins, strategy="quantile"
        )
        assert rows[name]["ece"] == pytest.approx(np.abs(parts[0] - parts[1]).mean(), abs=1e-6)
