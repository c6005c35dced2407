"""Kinds of training compared, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.studies.comparison import Trained, as_markdown, compare, read_trained, verdicts


def trained(seed: int, value: float) -> Trained:
    return Trained((seed,), {"mAP": value, "acc": value}, {})


def test_value_validation_scores_have_intervals_over_seeds() -> None:
    kinds = {
        "a": [trained(0, 0.5), trained(1, 0.6), trained(2, 0.7)],
        "b": [trained(2, 0.72), trained(0, 0.51), trained(1, 0.63)],
        "c": [trained(7, 0.9)],
    }
    _, b, c = compare(kinds, "a")
    assert b.difference["mAP"].value == pytest.approx(0.02)
    # Student's t with two degrees of freedom: 4.3027 times the standard error.
    half = 4.3027 * np.std([0.01, 0.03, 0.02], ddof=1) / math.sqrt(3)
    assert b.difference["mAP"].high - 0.02 == pytest.approx(half, rel=1e-3)
    assert "no seed in common" in as_markdown([b, c])
    with pytest.raises(ConfigError, match="baseline=d must be one that has finished runs: a, b, c"):
        compare(kinds, "d")


def test_raises_on_a_training_that_is_not_finished(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = tmp_path / "csv" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,val/mAP,val/acc\n0,0.5,0.9\n1,0.75,0.6\n2,0.7,0.8\n")
    folder.write_record({"finished": False})
    with pytest.raises(ConfigError, match="holds no finished training"):
        read_trained(folder, (0,))
    folder.write_record({"finished": True})
    found = read_trained(folder, (0,))
    assert found.scores == {"mAP": 0.75, "acc": 0.6}, "those of the best epoch by mAP"
    assert found.estimates == {}


def test_value_markdown() -> None:
    rows = compare({"a": [trained(0, 0.5)], "b": [trained(0, 0.625)], "empty": []}, "a")
    table = as_markdown(rows).splitlines()
    assert len(table) == 4
    assert table[2].startswith("| a | 1 | 50.00 | baseline |")
    assert table[3].startswith("| b | 1 | 62.50 | +12.50 |")


def test_value_verdicts_say_what_is_chance_and_what_was_not_seen() -> None:
    kinds = {
        "a": [trained(0, 0.5), trained(1, 0.6), trained(2, 0.7)],
        "b": [trained(0, 0.51), trained(1, 0.63), trained(2, 0.72)],
        "c": [trained(0, 0.62), trained(1, 0.71), trained(2, 0.82)],
    }
    text = verdicts(compare(kinds, "a"))
    assert "- b: the difference in mAP is within chance.\n" in text
    assert "- c: the difference in mAP is more than chance.\n" in text
    one = replace(compare(kinds, "a")[2], count=1)
    assert "(one seed: images only, seeds unseen)" in verdicts([compare(kinds, "a")[0], one])
