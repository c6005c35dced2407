"""Mean and deviation over repeated runs, and only over repetitions."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from agnet_vision.cli.summarize import call as summarize
from agnet_vision.errors import ConfigError
from agnet_vision.training.summary import summarize_runs

ACCURACIES = (0.6, 0.7, 0.65, 0.61, 0.69)


def write_run(folder: Path, acc: float, *, split_seed: int, **options: Any) -> Path:
    """Write what a finished training leaves that counts here."""
    folder.mkdir(parents=True)
    dataset = {"name": "caltech256", "split_seed": split_seed, "root": str(folder)}
    config = {"run_dir": str(folder), "seed": 0, "epochs": 3, "dataset": dataset, **options}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    scores = {"dataset": "caltech256", "split": "test", "acc": acc, "mAP": acc / 2, "seed": 0}
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Make five runs, one a split."""
    return [
        write_run(tmp_path / "runs" / str(i), acc, split_seed=i) for i, acc in enumerate(ACCURACIES)
    ]


def test_value(runs: list[Path]) -> None:
    summary = summarize_runs(runs)
    assert summary.deviation is not None
    assert summary.mean == pytest.approx({"acc": 0.65, "mAP": 0.325})
    assert summary.deviation["acc"] == pytest.approx(statistics.stdev(ACCURACIES))
    assert [run["split_seed"] for run in summary.runs] == [0, 1, 2, 3, 4]


def test_one_run_has_no_deviation(runs: list[Path]) -> None:
    summary = summarize_runs(runs[:1])
    assert summary.deviation is None
    assert "standard deviation" not in str(summary)


def test_raises(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run to summarize"):
        summarize_runs([])
    with pytest.raises(ConfigError, match="have the same seeds"):
        summarize_runs([*runs, write_run(tmp_path / "again", 0.9, split_seed=4)])
    with pytest.raises(ConfigError, match=r"other has epochs=4, .*0 has 3; no mean of the two"):
        summarize_runs([*runs, write_run(tmp_path / "other", 0.9, split_seed=5, epochs=4)])
    (runs[2] / "metrics.json").unlink()
    with pytest.raises(ConfigError, match=r"2 has no metrics.json: it is no finished training run"):
        summarize_runs(runs)


def test_command(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    summarize({"runs": f"{runs[0].parent}/*"})
    rows = {line.split("  ")[0]: line.split()[-2:] for line in capsys.readouterr().out.splitlines()}
    assert rows["mean"] == ["0.6500", "0.3250"]
    assert rows["standard deviation"] == ["0.0453", "0.0226"]
    with pytest.raises(ConfigError, match=r"runs=nowhere/\* matches no folder"):
        summarize({"runs": "nowhere/*"})
