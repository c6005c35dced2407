"""Kinds of training compared, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, f1_score

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.studies.comparison import Trained, as_markdown, compare, read_trained, verdicts
from agnet_vision.task import MultiLabel


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


def write_labels(folder: RunFolder, label: np.ndarray, seed: int) -> np.ndarray:
    """Write a test of several labels, and return the probabilities as they are in its file."""
    noise = np.random.default_rng(seed).normal(size=label.shape)
    probability = torch.from_numpy(label + noise).float().sigmoid()
    found = Predictions(torch.arange(len(label)), torch.from_numpy(label), probability)
    task = MultiLabel((0.6, 0.5, 0.4))
    scores = {"dataset": "folder", "split": "test", **score(found, ("a", "b", "c"), task)}
    paths = [Path(f"{number}.jpg") for number in range(len(label))]
    folder.path.mkdir()
    folder.write_results(scores, found, paths, ("a", "b", "c"), Path(), task)
    return folder.read_results().probability


def test_value_several_labels_have_the_jackknife_of_scikit_learn(tmp_path: Path) -> None:
    label = np.random.default_rng(0).integers(0, 2, (60, 3))
    folders = [RunFolder(tmp_path / name) for name in ("a", "b")]
    first, second = (write_labels(each, label, seed) for seed, each in enumerate(folders))
    _, row = compare({each.path.name: [read_trained(each, (0,))] for each in folders}, "a")
    assert set(row.mean) == {"mAP", "macro_F1"}

    decided = [part >= (0.6, 0.5, 0.4) for part in (first, second)]
    oracles = {
        "mAP": (average_precision_score, [first, second]),
        "macro_F1": (partial(f1_score, average="macro"), decided),
    }
    for name, (oracle, (one, other)) in oracles.items():
        kept = [np.delete(np.arange(60), left_out) for left_out in range(60)]
        without = [oracle(label[k], other[k]) - oracle(label[k], one[k]) for k in kept]
        half = student.ppf(0.975, 59) * math.sqrt(59 * np.var(without))
        value = oracle(label, other) - oracle(label, one)
        assert row.difference[name] == pytest.approx((value, value - half, value + half), abs=1e-6)


def test_raises_on_runs_of_two_tasks() -> None:
    several = Trained((0,), {"mAP": 0.5, "macro_F1": 0.5}, {})
    with pytest.raises(ConfigError, match="all be of one label per image, or all of several"):
        compare({"a": [trained(0, 0.5)], "b": [several]}, "a")


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
