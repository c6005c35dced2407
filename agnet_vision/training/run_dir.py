"""The folder a run writes to: named once for all its processes, and locked."""

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

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"
# Where the launchers of several processes say which one this is.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@contextmanager
def claimed_run_dir(given: str | None, outputs: Path) -> Iterator[Path]:
    """Name a run's folder, and keep every other run out of it.

    The system gives the lock back when the process ends, however it does. A folder that was made
    here and left empty by a mistake is removed.

    Args:
        given: folder of the user's choice; None: a new one, named after the time.
        outputs: folder of the runs that are named after the time.

    Raises:
        ConfigError: the folder is in use, or several processes cannot agree on one.
    """
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        yield _folder_of_first_process(given, outputs)
        return

    run_dir = Path(given) if given is not None else _new_folder(outputs)
    is_new = given is None or not run_dir.exists()
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(run_dir / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise ConfigError(
            f"run_dir={run_dir} is in use by a run that is going on; name another folder"
        ) from error

    with lock:
        for path in run_dir.glob(TEMPORARY_PATTERN):  # of a run that was killed while writing
            path.unlink()
        os.environ[RUN_DIR_VARIABLE] = str(run_dir)
        try:
            yield run_dir
        finally:
            del os.environ[RUN_DIR_VARIABLE]
            if is_new and [path.name for path in run_dir.iterdir()] == [".lock"]:
                (run_dir / ".lock").unlink()
                run_dir.rmdir()


def _new_folder(outputs: Path) -> Path:
    """Make a folder that no other run has, and tell the other machines its name."""
    store = _shared_store()
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):
        folder = outputs.absolute() / (name if number == 1 else f"{name}_{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    if store is not None:
        store.set(RUN_DIR_VARIABLE, folder.name)
    return folder


def _folder_of_first_process(given: str | None, outputs: Path) -> Path:
    if known := os.environ.get(RUN_DIR_VARIABLE, given):
        return Path(known)
    store = _shared_store()
    if store is None:
        raise ConfigError("run_dir must be given to a process that is not the first of its run")
    return outputs.absolute() / store.get(RUN_DIR_VARIABLE).decode()


def _shared_store() -> PrefixStore | None:
    """Reach the processes that a launcher started on other machines, if any."""
    launchers = (TorchElasticEnvironment, SLURMEnvironment)
    launcher = next((each() for each in launchers if each.detect()), None)
    if launcher is None or launcher.world_size() == 1:
        return None
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise ConfigError(
            "run_dir must be given where several processes are started from outside: "
            "each would name a folder of its own"
        )
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    return PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
