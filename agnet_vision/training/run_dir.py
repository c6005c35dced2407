"""The folder a run writes to: named once for all its processes, and locked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import AcquireReturnProxy, FileLock, Timeout

from agnet_vision.errors import ConfigError
from agnet_vision.files import TEMPORARY_PATTERN

if TYPE_CHECKING:
    from torch.distributed import PrefixStore

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"
# Where the launchers of several processes say which one this is.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@contextmanager
def locked_run_dir(run_dir: Path, *, is_new: bool) -> Iterator[Path]:
    """Keep every other run out of a run's folder.

    A folder that was empty and is left so by a mistake is removed.

    Args:
        run_dir: folder of the run.
        is_new: whether it was named for this run, and not by the user; where another run has it,
            the next name is taken.

    Raises:
        ConfigError: the folder is in use, or several processes cannot agree on one.
    """
    if not is_first() and (known := os.environ.get(RUN_DIR_VARIABLE)):
        yield Path(known)
        return
    store = _shared_store() if is_new else None
    if not is_first():
        yield Path(store.get(RUN_DIR_VARIABLE).decode()) if store else run_dir
        return

    run_dir, lock = _lock_new(run_dir) if is_new else (run_dir, _lock(run_dir))
    with lock:
        if store is not None:
            store.set(RUN_DIR_VARIABLE, str(run_dir))
        was_empty = _is_empty(run_dir)
        for path in run_dir.glob(TEMPORARY_PATTERN):  # of a run that was killed while writing
            path.unlink()
        os.environ[RUN_DIR_VARIABLE] = str(run_dir)
        try:
            yield run_dir
        finally:
            del os.environ[RUN_DIR_VARIABLE]
            if was_empty and _is_empty(run_dir):
                (run_dir / ".lock").unlink()
                run_dir.rmdir()


def is_first() -> bool:
    """Tell whether this is the first of the processes of a run."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def _lock(run_dir: Path) -> AcquireReturnProxy:
    run_dir.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(run_dir / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise ConfigError(
            f"run_dir={run_dir} is in use by a run that is going on; name another folder"
        ) from error


def _lock_new(named: Path) -> tuple[Path, AcquireReturnProxy]:
    """Lock the first folder of a name, ``name_2`` and so on, that no other run has."""
    for number in count(1):
        run_dir = named if number == 1 else named.with_name(f"{named.name}_{number}")
        with suppress(ConfigError):
            lock = _lock(run_dir)
            if _is_empty(run_dir):
                break
            lock.lock.release()
    return run_dir, lock


def _is_empty(run_dir: Path) -> bool:
    return [path.name for path in run_dir.iterdir()] == [".lock"]


def _shared_store() -> PrefixStore | None:
    """Reach the processes that a launcher started on other machines, if any."""
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from torch.distributed import PrefixStore, TCPStore

    launchers = (TorchElasticEnvironment, SLURMEnvironment)
    launcher = next((each() for each in launchers if each.detect()), None)
    if is_first() and (launcher is None or launcher.world_size() == 1):
        return None
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise ConfigError(
            "run_dir must be given where several processes are started from outside: "
            "each would name a folder of its own"
        )
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    return PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
