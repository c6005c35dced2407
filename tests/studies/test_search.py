"""The search: what it runs, never runs again, and writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import pytorch_lightning as pl
import yaml

from agnet_vision.errors import ConfigError, PredictionError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.compose import flatten
from agnet_vision.options.resolve import stored_text, training_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.studies import search as module
from agnet_vision.studies.search import next_trial, pruning, run_search
from agnet_vision.studies.search_table import summarize_search
from agnet_vision.studies.space import Search
from agnet_vision.training.train import train as train_one
from tests.training.tiny import TINY


class Machine:
    """A stand-in for training and clock that remembers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.timed: list[int] = []
        self.fail: dict[int, BaseException] = {}

    def train(self, options: dict[str, Any], callbacks: Sequence[pl.Callback]) -> None:
        number = len(self.asked)
        self.asked.append(options)
        folder = RunFolder(options["run_dir"])
        folder.path.mkdir(parents=True, exist_ok=True)
        if not folder.config.is_file():
            folder.write_config(stored_text(training_options(options)))
        folder.last.touch()
        if number in self.fail:
            raise self.fail[number]
        for epoch, score in enumerate((0.1, options["image_size"] / 100, 0.2)):
            trainer = SimpleNamespace(
                current_epoch=epoch, callback_metrics={"val/mAP": score}, max_epochs=None
            )
            callbacks[0].on_train_epoch_end(trainer, None)

    def latency_ms(self, model: AGNet) -> float:
        side = model.data_config["input_size"][-1]
        self.timed.append(side)
        return side / 10

    def sizes(self) -> list[int]:
        return [each["image_size"] for each in self.asked]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    stand_in = Machine()
    monkeypatch.setattr(module, "train_with", stand_in.train)
    monkeypatch.setattr(module, "latency_ms", stand_in.latency_ms)
    return stand_in


@pytest.fixture
def search(images: Path) -> Search:
    given = dict(word.split("=", 1) for word in TINY)
    base = {name: yaml.safe_load(value) for name, value in given.items()}
    base |= {"dataset.root": str(images), "model": "backbone_only"}
    space = {"image_size": [32, 48, 64], "optimizer.lr": {"low": 0.001, "high": 0.1, "log": True}}
    return Search(flatten(base), space)


def test_finished_trials_are_not_run_again(
    tmp_path: Path, machine: Machine, search: Search
) -> None:
    run_search(search, tmp_path / "out", 4)
    assert [Path(each["run_dir"]).name for each in machine.asked] == ["0", "1", "2", "3"]
    assert not list((tmp_path / "out").rglob("last.ckpt"))
    run_search(search, tmp_path / "out", 4)
    assert len(machine.asked) == 4
    run_search(search, tmp_path / "out", 6)
    assert len(machine.asked) == 6
    assert len(machine.timed) == len(set(machine.sizes())) < 6, "a network is timed once"


def test_a_killed_search_goes_on(tmp_path: Path, machine: Machine, search: Search) -> None:
    whole = tmp_path / "whole"
    run_search(search, whole, 4)
    drawn = [(each["image_size"], each["optimizer.lr"]) for each in machine.asked]
    machine.asked.clear()

    machine.fail = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run_search(search, tmp_path / "killed", 4)
    run_search(search, tmp_path / "killed", 4)
    assert machine.asked[3] == machine.asked[2]
    assert machine.asked[3]["resume"] == "auto"
    assert len(machine.asked) == 5
    del machine.asked[2]
    assert [(e["image_size"], e["optimizer.lr"]) for e in machine.asked[:3]] == drawn[:3]
    summarize_search(search, tmp_path / "killed")
    table = (tmp_path / "killed" / "README.md").read_text()
    assert table.count("| front |") + table.count("| finished |") == 4


def test_processes_share_a_search(tmp_path: Path, search: Search) -> None:
    first, lock = next_trial(search, tmp_path, 2)
    second, other = next_trial(search, tmp_path, 2)
    assert first.params != second.params
    assert next_trial(search, tmp_path, 2) is None  # both are being run
    lock.lock.release()  # as the system does when its process dies
    again, _ = next_trial(search, tmp_path, 2)
    assert (again.number, again.params) == (first.number, first.params)
    other.lock.release()


def test_what_is_over_the_budget_is_not_trained(
    tmp_path: Path, machine: Machine, search: Search
) -> None:
    search = replace(search, budget_ms=5.0)
    run_search(search, tmp_path, 8)
    assert 64 in machine.timed
    assert set(machine.sizes()) == {32, 48}

    best = summarize_search(search, tmp_path)
    stored = json.loads((tmp_path / "search.json").read_text())
    assert best == f"trial {stored['best']}, mAP 0.4800, 4.80 ms"
    assert {each["image_size"]: each["outcome"] for each in stored["trials"]} == {
        32: "front",
        48: "front",
        64: "over budget: 6.40 ms",
    }
    table = (tmp_path / "README.md").read_text()
    head = "| trial | mAP | latency_ms | epochs_trained | image_size | optimizer.lr | outcome |"
    assert table.startswith(head)
    assert "| 0.48 | 4.8 | 3 | 48 |" in table
    assert (tmp_path / "front.png").stat().st_size > 1000
    written = (tmp_path / "experiment" / "best.yaml").read_text()
    assert written.startswith("# @package _global_\n")
    values = yaml.safe_load(written)
    assert values.pop("defaults") == [{"override /dataset": "folder"}]
    config = training_options(values)
    assert (config.image_size, config.monitor, config.test) == (48, "mAP", True)
    assert "run_dir" not in values


def test_trials_that_fail(tmp_path: Path, machine: Machine, search: Search) -> None:
    machine.fail = {0: PredictionError("not finite")}
    space = {"image_size": [48], "model": ["full"], "model.head.pool_size": [2, 9]}
    search = replace(search, space=space)
    run_search(search, tmp_path, 5)
    summarize_search(search, tmp_path)
    stored = json.loads((tmp_path / "search.json").read_text())["trials"]
    outcomes = {each["outcome"] for each in stored}
    assert "not finite" in outcomes
    assert any(each.startswith("impossible: image_size=48 gives a map") for each in outcomes)


def test_wrong_searches(tmp_path: Path, machine: Machine, search: Search) -> None:
    tight = replace(search, budget_ms=1.0)
    run_search(tight, tmp_path, 2)
    assert not machine.asked
    with pytest.raises(ConfigError, match=r"no trial was finished \(over budget: .* raise budget"):
        summarize_search(tight, tmp_path)
    with pytest.raises(ConfigError, match="holds a search with another budget_ms"):
        run_search(search, tmp_path, 2)


def test_a_poor_training_ends_after_its_epoch(configure: Callable[..., TrainConfig]) -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    better = {0: 0.0, 1: 1.1, 2: 1.2, 3: 1.3}
    study.add_trial(optuna.create_trial(value=1.3, intermediate_values=better))
    trial = study.ask()

    config = configure("epochs=4", "test=false", "model=backbone_only", "logger=none")
    with pytest.raises(optuna.TrialPruned, match=r"stopped: .* after epoch 2"):
        train_one(config, [pruning(trial, "acc")])
    assert list(study.trials[1].intermediate_values) == [0, 1]
