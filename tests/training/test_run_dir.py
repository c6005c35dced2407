"""Whose folder it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout
from torch.distributed import TCPStore

from agnet_vision.errors import ConfigError
from agnet_vision.options.dataset import Demo
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.training.run_dir import RUN_DIR_VARIABLE, claimed_run_dir


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN_DIR_VARIABLE, raising=False)


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agnet_vision.training.run_dir.time.strftime", lambda _: "now")


@pytest.mark.usefixtures("one_second")
def test_runs_of_one_second_have_their_own_folders() -> None:
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


@pytest.mark.parametrize(
    "second", [TrainConfig(), EvaluateConfig(checkpoint="x", dataset=Demo())], ids=["train", "test"]
)
def test_raises_on_a_folder_in_use(tmp_path: Path, second: TrainConfig | EvaluateConfig) -> None:
    place = {"run_dir": str(tmp_path / "mine")}
    with (
        claimed_run_dir(TrainConfig(**place)),
        pytest.raises(ConfigError, match="mine is in use by a run that is going on; name another"),
        claimed_run_dir(second.model_copy(update=place)),
    ):
        pass
    with claimed_run_dir(second.model_copy(update=place)):
        pass


def test_locks_of_others_keep_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(Timeout), claimed_run_dir(TrainConfig(run_dir=str(tmp_path / "mine"))):
        raise Timeout("of a library inside the run")


def test_a_killed_run_keeps_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from filelock import FileLock; FileLock(sys.argv[1]).acquire(); "
        "print(flush=True); os.kill(os.getpid(), 9)"
    )
    folder = tmp_path / "mine"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", code, str(folder / ".lock")], check=False)
    with claimed_run_dir(TrainConfig(run_dir=str(folder))) as claimed:
        assert claimed == folder


@pytest.mark.usefixtures("one_second")
def test_other_processes_take_the_first_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    with claimed_run_dir(TrainConfig()) as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        with claimed_run_dir(TrainConfig()) as other:
            assert other == first


@pytest.mark.usefixtures("one_second")
def test_processes_of_torchrun_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two nodes of torchrun, whose agent keeps the store."""
    (Path("outputs") / "demo" / "now").mkdir(parents=True)
    agent = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(agent.port),
        "RANK": "0",
        "TORCHELASTIC_RUN_ID": "1",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": "2",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with claimed_run_dir(TrainConfig()) as first:
        assert first.name == "now_2"
    monkeypatch.setenv("RANK", "1")
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
    assert not Path("outputs").exists()
