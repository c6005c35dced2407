"""A run's files agree, whatever cut off their writing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import score
from agnet_vision.evaluation.run_folder import RunFolder
from tests.evaluation.conftest import CLASSES, random_predictions


@pytest.fixture
def run(runs: tuple[Path, Path], tmp_path: Path) -> RunFolder:
    """A copy of a run, to be damaged."""
    return RunFolder(shutil.copytree(runs[0], tmp_path / "run"))


def write_other_results(folder: RunFolder) -> None:
    """Test the run again, with other predictions."""
    predictions = random_predictions(24, len(CLASSES), seed=7, skill=0.0)
    scores = {"dataset": "folder", "split": "test", **score(predictions, CLASSES)}
    paths = [Path(f"{number}.png") for number in range(24)]
    folder.write_results(scores, predictions, paths, CLASSES, Path())


def test_value_results_read_back(runs: tuple[Path, Path]) -> None:
    found, expected = (
        RunFolder(runs[0]).read_results(),
        random_predictions(24, 4, seed=1, skill=3.0),
    )
    assert found.classes == CLASSES
    assert found.paths == [f"{number}.png" for number in range(24)]
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.probability, expected.probability)  # to the last bit
    assert found.scores["acc"] == (found.predicted == found.label).mean()
    assert found.record["command"] == "python tools/train.py <x>"
    assert found.checkpoint == runs[0] / "saved"
    assert found.root == runs[0].parent / "data"


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_raises_on_a_run_that_is_not_tested(run: RunFolder, name: str) -> None:
    (run.path / name).unlink()
    assert not run.is_tested()
    with pytest.raises(ConfigError, match=f"no {name}"):
        run.read_results()


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv"])
def test_raises_on_a_file_that_was_cut_off(run: RunFolder, name: str) -> None:
    content = (run.path / name).read_bytes()
    (run.path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match="damaged"):
        run.read_results()


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", range(4))
def test_value_a_kill_at_any_rename_leaves_no_contradiction(
    run: RunFolder, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is whole, or known to be unfinished."""
    before, done = run.read_results(), 0

    def until_killed(method: str) -> None:
        original = getattr(Path, method)

        def last(self: Path, *args: object, **kwargs: object) -> object:
            nonlocal done
            if self.suffix != ".tmp" or method != "unlink":
                if done == step:
                    raise KilledError
                done += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(Path, method, last)

    until_killed("unlink")
    until_killed("replace")
    try:
        write_other_results(run)
        assert step == 3  # the old scores go, the predictions come, the new scores come
    except KilledError:
        assert step < 3
    monkeypatch.undo()
    if run.is_tested():
        found = run.read_results()
        assert found.scores["acc"] == found.hits.mean()
        assert (found.scores["acc"] == before.scores["acc"]) == (step == 0)
    write_other_results(run)  # and it can be completed
    assert run.read_results().scores["acc"] != before.scores["acc"]


def test_value_history_takes_the_newer_log_after_a_resume(run: RunFolder) -> None:
    assert [row["epoch"] for row in run.read_history()] == list(range(6))
    for version, loss in ((2, 0.5), (10, 0.25)):  # in the order of numbers, not of letters
        log = run.path / "csv" / f"version_{version}" / "metrics.csv"
        log.parent.mkdir()
        log.write_text(f"epoch,step,train/loss_epoch,lr\n5,1,,0.1\n5,2,{loss},\n")
    assert run.read_history()[5] == {
        "epoch": 5,
        "step": 2,
        "train/loss_epoch": 0.25,
        "val/loss": pytest.approx(2.2 / 6),
        "val/acc": 0.5,
        "val/mAP": pytest.approx(5 / 12),
    }
    assert RunFolder(run.path / "nothing").read_history() == []


def test_value_paths_outside_the_root_stay_absolute(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    predictions = random_predictions(2, 2)
    paths = [tmp_path / "data" / "a" / "1.png", Path("/elsewhere/2.png")]
    folder.write_results(
        score(predictions, ("a", "b")), predictions, paths, ("a", "b"), tmp_path / "data"
    )
    assert folder.read_results().paths == ["a/1.png", "/elsewhere/2.png"]
    assert torch.equal(torch.from_numpy(folder.read_results().probability), predictions.probability)
