"""Whose folder it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.training.claim import RUN_DIR_VARIABLE, claimed_run_dir
from agnet_vision.training.config import TrainConfig


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(RUN_DIR_VARIABLE, "")
    yield
    monkeypatch.delenv(RUN_DIR_VARIABLE)


def test_runs_of_one_second_have_their_own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agnet_vision.training.claim.time.strftime", lambda _: "now")
    folders = []
    for _ in range(3):
        with claimed_run_dir(TrainConfig()) as folder:
            folders.append(folder.relative_to(Path.cwd()))
    assert [str(folder) for folder in folders] == [
        "outputs/demo/now",
        "outputs/demo/now_2",
        "outputs/demo/now_3",
    ]


def test_a_mistake_leaves_no_folder_and_takes_none_away(tmp_path: Path) -> None:
    claim = claimed_run_dir(TrainConfig())
    folder = claim.__enter__()
    assert folder.is_dir()
    assert not claim.__exit__(ConfigError, ConfigError("a mistake"), None)
    assert not folder.exists()
    claim = claimed_run_dir(TrainConfig())
    folder = claim.__enter__()
    (folder / "config.yaml").touch()
    assert not claim.__exit__(ConfigError, ConfigError("later"), None)
    assert folder.exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError), claimed_run_dir(TrainConfig(run_dir=str(tmp_path / "mine"))):
        raise ConfigError("a mistake")
    assert (tmp_path / "mine").is_dir()


def test_other_processes_take_the_first_one_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with claimed_run_dir(TrainConfig()) as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        with claimed_run_dir(TrainConfig()) as other:
            assert other == first


def test_raises_where_each_process_would_name_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(ConfigError, match="run_dir must be given where several processes"),
        claimed_run_dir(TrainConfig()),
    ):
        pass
