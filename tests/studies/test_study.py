"""The study machine: what it runs, and never runs again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import submitit
import yaml

from agnet_vision.errors import AGNetError, ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.studies import study as machine
from agnet_vision.studies import table as study_table
from agnet_vision.studies.study import Study, read_study, run_folder, run_study
from agnet_vision.studies.table import summarize_study
from tests.studies.stand_ins import Trainer, write_results


def test_value_options_of_the_runs(tmp_path: Path, trainer: Trainer, study: Study) -> None:
    run_study(study, tmp_path)
    assert [Path(each["run_dir"]).relative_to(tmp_path).as_posix() for each in trainer.asked] == [
        "runs/plain/seed0",
        "runs/slow/seed0",
        "runs/plain/seed1",
        "runs/slow/seed1",
    ]
    assert trainer.asked[1] == {
        "epochs": 4,
        "model": "full",
        "seed": 0,
        "run_dir": str(tmp_path / "runs/slow/seed0"),
        "resume": "auto",
        "report": False,
    }
    run_study(study, tmp_path)
    assert len(trainer.asked) == 4, "what is finished is not run again"


def test_raises_on_runs_with_other_options(tmp_path: Path, trainer: Trainer, study: Study) -> None:
    run_study(study, tmp_path)
    elsewhere = {**study.base, "workers": 1, "dataset.root": str(tmp_path), "trainer": "cpu"}
    run_study(replace(study, base=elsewhere), tmp_path)
    match = r"plain/seed0 was trained with image_size=\d+, and the study says 64; give"
    with pytest.raises(ConfigError, match=match):
        run_study(replace(study, base={**study.base, "image_size": 64}), tmp_path)
    with pytest.raises(ConfigError, match=r"slow/seed0 .* ema_decay=None, and the study says 0.9"):
        run_study(replace(study, arms={**study.arms, "slow": {"ema_decay": 0.9}}), tmp_path)
    assert len(trainer.asked) == 4


def test_a_run_that_another_process_finished_is_left_alone(
    tmp_path: Path, trainer: Trainer, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study started twice may queue each run twice."""

    def run_all(options: dict[str, Any]) -> None:
        for seed in study.seeds:
            trainer({**options, "seed": seed, "run_dir": str(tmp_path / f"runs/plain/seed{seed}")})

    monkeypatch.setattr(machine, "train_with", run_all)
    run_study(replace(study, arms={"plain": study.arms["plain"]}), tmp_path)
    assert [each["seed"] for each in trainer.asked] == [0, 1]


def test_a_summary_names_what_has_runs(tmp_path: Path, trainer: Trainer, study: Study) -> None:
    with pytest.raises(ConfigError, match="finished runs: none has any yet"):
        summarize_study(study, tmp_path)


def test_arms_that_differ_in_their_test_are_trained_once(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = []

    def evaluate(given: dict[str, Any]) -> None:
        tested.append(given)
        folder = RunFolder(given["run_dir"])
        folder.path.mkdir(parents=True)
        write_results(folder, len(tested) - 1, shift=2.0)

    monkeypatch.setattr(machine, "evaluate_with", evaluate)
    arms = {"plain": {}, "two views": {"tta": "whole"}, "other": {"model": "backbone_only"}}
    study = Study("Which?", {"epochs": 4}, arms, (0, 1))
    for _ in range(2):  # what is tested is not tested again
        run_study(study, tmp_path)
        assert len(trainer.asked) == 4
        assert [(each["checkpoint"], each["tta"]) for each in tested] == [
            (str(tmp_path / f"runs/plain/seed{seed}"), "whole") for seed in (0, 1)
        ]
    monkeypatch.setattr(study_table, "forward_ms", lambda paths: dict.fromkeys(paths, 3.0))
    rows = {row.name: row for row in summarize_study(study, tmp_path)}
    assert rows["two views"].mean["acc"] > rows["plain"].mean["acc"]
    assert rows["two views"].seconds == rows["plain"].seconds == 100
    assert (rows["two views"].forward_ms, rows["plain"].forward_ms) == (6.0, 3.0)


def test_value_views_of_an_experiment_are_those_of_the_arm() -> None:
    recommended = {"experiment": "recommended"}
    arms = {"plain": {"tta": "none"}, "one": recommended, "both": {**recommended, "tta": "whole"}}
    study = Study("", {}, arms, (0,))
    assert [study.tta(arm) for arm in arms] == ["none", "none", "whole"]
    assert [study.trained(arm) for arm in arms] == ["plain", "one", "one"]


def test_a_cluster_runs_what_is_left_and_says_what_failed(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SLURM submitit starts processes of its own, as far as a test can go."""
    study = replace(study, base={"epochs": 0}, arms={"plain": {}}, seeds=(0, 1))
    finished = run_folder(tmp_path, "plain", 1)
    finished.path.mkdir(parents=True)
    write_results(finished, 1, shift=0.0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="needs SLURM's sbatch"):
        run_study(study, tmp_path, cluster={"timeout_min": 5})

    monkeypatch.setattr(shutil, "which", str)
    make = submitit.AutoExecutor
    monkeypatch.setattr(submitit, "AutoExecutor", lambda folder, cluster: make(folder, "local"))
    with pytest.raises(AGNetError, match=r"1 of 1 runs failed, the first as job \d+") as error:
        run_study(study, tmp_path, cluster={"timeout_min": 5})
    log = next(Path(str(error.value).rpartition(" ")[2]).glob("*_log.err")).read_text()
    assert "epochs must be a whole number of at least 1" in log


def test_a_killed_study_goes_on(tmp_path: Path, trainer: Trainer, study: Study) -> None:
    trainer.kill_at = 2
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path)
    run_study(study, tmp_path)
    assert trainer.asked[3] == trainer.asked[2]
    assert trainer.asked[3]["resume"] == "auto"
    assert len(trainer.asked) == 5
    assert summarize_study(study, tmp_path)[1].count == 2


def write_study(folder: Path, **changes: Any) -> Path:
    content = {"base": {"epochs": 1}, "arms": {"b": {"model": "full"}, "a": {}}, "baseline": "a"}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def test_value_read(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path), {"epochs": 2})
    assert (study.base, list(study.arms), study.seeds) == ({"epochs": 2}, ["a", "b"], [0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "c"}, "baseline must be one of the arms a, b"),
        ({"arms": {"a": {"epohcs": 1}}}, "epohcs"),
        ({"color": "red"}, "got color"),
    ],
)
def test_wrong_studies(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_study(write_study(tmp_path, **changes))
