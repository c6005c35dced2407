"""``agnet evaluate`` as it is typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.saved import call, save_network, write_folder
from tests.training.tiny import TINY_EVALUATION


def test_value_scores_every_image_of_the_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, root = save_network(tmp_path / "saved"), write_folder(tmp_path / "data")
    words = (f"checkpoint={network}", f"dataset.root={root}", f"run_dir={tmp_path / 'run'}")
    call("evaluate", *TINY_EVALUATION, *words, "split=val")

    with (tmp_path / "run" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {Path(row["path"]).parts[0] for row in rows} == {"val"}
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert (len(rows), metrics["acc"]) == (6, pytest.approx(right))
    assert str(tmp_path / "run") in capsys.readouterr().out
