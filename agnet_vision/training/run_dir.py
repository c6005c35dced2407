"""The folder a run writes to.

It is named once, the same on all processes, and belongs to one run only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch.distributed import PrefixStore, TCPStore

from agnet_vision.errors import ConfigError
from agnet_vision.files import TEMPORARY_PATTERN
from agnet_vision.options.run import EvaluateConfig, TrainConfig

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"
# Where the launchers of several processes say which one this is.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@contextmanager
def claimed_run_dir(config: TrainConfig | EvaluateConfig) -> Iterator[Path]:
    """Name the run's folder and lock it.

    Left empty by a mistake, it is removed again.

    The system gives the lock back when the process ends, however it does.

    Raises:
        ConfigError: the folder is in use, holds another run, or has none to go on with.
    """
    if not _is_first():
        yield _folder_of_first(config)
        return

    run_dir = Path(config.run_dir) if config.run_dir is not None else _new_folder(config)
    is_new = config.run_dir is None or not run_dir.exists()
    with _locked(run_dir):
        try:
            _check(config, run_dir)
            for path in run_dir.glob(TEMPORARY_PATTERN):  # of a run that was killed while writing
                path.unlink()
            os.environ[RUN_DIR_VARIABLE] = str(run_dir)
            yield run_dir
        except BaseException:
            if is_new and [path.name for path in run_dir.iterdir()] == [".lock"]:
                (run_dir / ".lock").unlink()
                run_dir.rmdir()
            raise
        finally:
            os.environ.pop(RUN_DIR_VARIABLE, None)


def _is_first() -> bool:
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def _folder_of_first(config: TrainConfig | EvaluateConfig) -> Path:
    """Ask for the folder that the first process has named."""
    if RUN_DIR_VARIABLE in os.environ:
        return Path(os.environ[RUN_DIR_VARIABLE])
    if config.run_dir is not None:
        return Path(config.run_dir)
    store = _store()
    if store is None:
        raise ConfigError("run_dir must be given to a process that is not the first of its run")
    return _outputs(config) / store.get(RUN_DIR_VARIABLE).decode()


@contextmanager
def _locked(run_dir: Path) -> Iterator[None]:
    """Keep every other run out of the folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / ".lock", timeout=0)
    try:
        held = lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"run_dir={run_dir} is in use by a run that is going on; name another folder"
        ) from error
    with held:
        yield


def _outputs(config: TrainConfig | EvaluateConfig) -> Path:
    """Return the folder of runs without names of their own."""
    assert config.dataset is not None
    kind = Path("outputs") if isinstance(config, TrainConfig) else Path("outputs", "evaluate")
    return (kind / config.dataset.name).absolute()


def _new_folder(config: TrainConfig | EvaluateConfig) -> Path:
    """Make a folder that no other run has."""
    store = _store()
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):
        folder = _outputs(config) / (name if number == 1 else f"{name}_{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    if store is not None:
        store.set(RUN_DIR_VARIABLE, folder.name)
    return folder


def _store() -> PrefixStore | None:
    """Reach this run's processes on other machines, if any.

    Raises:
        ConfigError: the launcher gives them no way to talk before training.
    """
    elastic = TorchElasticEnvironment.detect() and TorchElasticEnvironment().world_size() > 1
    if elastic and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        return PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    if elastic or (SLURMEnvironment.detect() and SLURMEnvironment().world_size() > 1):
        raise ConfigError(
            "run_dir must be given where several processes are started from outside: "
            "each would name a folder of its own"
        )
    return None


def _check(config: TrainConfig | EvaluateConfig, run_dir: Path) -> None:
    """Refuse folders of another run, or without one to resume."""
    last = run_dir / "last.ckpt"
    if isinstance(config, EvaluateConfig):
        if (run_dir / "config.yaml").exists():
            raise ConfigError(
                f"run_dir={run_dir} holds a training run, whose own scores would be lost; "
                "name another folder"
            )
    elif config.resume and not last.is_file():
        raise ConfigError(
            f"there is no {last}; with resume, run_dir must name the folder of an interrupted run"
        )
    elif not config.resume and (last.exists() or (run_dir / "metrics.json").exists()):
        advice = "add resume=True to go on with it, or " if last.exists() else ""
        raise ConfigError(f"run_dir={run_dir} holds a run already; {advice}name another folder")
