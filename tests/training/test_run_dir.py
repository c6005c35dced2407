"""The folder of a run: its name, its lock, and who else may have it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from filelock import Timeout
from torch.distributed import TCPStore

from agnet_vision.errors import ConfigError
from agnet_vision.training.run_dir import RUN_DIR_VARIABLE, locked_run_dir


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs start in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN_DIR_VARIABLE, raising=False)


def open_folder(given: Path | None = None) -> AbstractContextManager[Path]:
    return locked_run_dir(given or Path("outputs", "now").absolute(), is_new=given is None)


def test_runs_of_one_second_have_their_own_folders() -> None:
    folders = []
    for _ in range(3):
        with open_folder() as folder:
            folders.append(str(folder.relative_to(Path.cwd())))
            (folder / "config.yaml").touch()
    assert folders == ["outputs/now", "outputs/now_2", "outputs/now_3"]


def test_a_mistake_leaves_no_folder_and_takes_none_away(tmp_path: Path) -> None:
    for given in (None, tmp_path / "mine"):
        with pytest.raises(ConfigError), open_folder(given) as empty:
            raise ConfigError("a mistake")
        assert not empty.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(ConfigError), open_folder(tmp_path / "mine") as mine:
        raise ConfigError("a mistake")
    assert (mine / "notes.txt").is_file()


def test_raises_on_a_folder_in_use(tmp_path: Path) -> None:
    with (
        open_folder(tmp_path / "mine"),
        pytest.raises(ConfigError, match="mine is in use by a run that is going on; name another"),
        open_folder(tmp_path / "mine"),
    ):
        pass
    with open_folder(tmp_path / "mine"):
        pass


def test_locks_of_others_keep_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(Timeout), open_folder(tmp_path / "mine"):
        raise Timeout("of a library inside the run")


def test_a_killed_run_keeps_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from filelock import FileLock; FileLock(sys.argv[1]).acquire(); "
        "print(flush=True); os.kill(os.getpid(), 9)"
    )
    folder = tmp_path / "mine"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", code, str(folder / ".lock")], check=False)
    with open_folder(folder) as locked:
        assert locked == folder


def test_other_processes_take_the_first_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_folder() as first:
        monkeypatch.setenv("LOCAL_RANK", "1")
        with open_folder() as other:
            assert other == first


def test_processes_of_torchrun_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two nodes of torchrun, whose agent keeps the store."""
    (Path("outputs") / "now").mkdir(parents=True)
    (Path("outputs") / "now" / "config.yaml").touch()
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
    with open_folder() as first:
        assert first.name == "now_2"
        (first / "config.yaml").touch()
    monkeypatch.setenv("RANK", "1")
    with open_folder() as other:
        assert other == first


@pytest.mark.parametrize("rank", ["0", "1"])
def test_raises_where_each_process_would_name_its_own(
    monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": rank}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="run_dir must be given where several"), open_folder():
        pass
    assert not Path("outputs").exists()
