"""Which folder a run writes to: named once, the same on all processes, and never another run's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from agnet_vision.errors import ConfigError
from agnet_vision.training.config import EvaluateConfig, TrainConfig

# Lightning starts the other processes of a run on this machine with this process's environment.
RUN_DIR_VARIABLE = "AGNET_RUN_DIR"


@contextmanager
def claimed_run_dir(config: TrainConfig | EvaluateConfig) -> Iterator[Path]:
    """Name the run's folder, and take it away again where a mistake leaves it empty.

    Raises:
        ConfigError: it holds another run, has none to go on with, or must be given.
    """
    if not _is_first() and RUN_DIR_VARIABLE in os.environ:
        yield Path(os.environ[RUN_DIR_VARIABLE])
        return
    run_dir = Path(config.run_dir) if config.run_dir is not None else _new_folder(config)
    if _is_first():
        _check(config, run_dir)
        os.environ[RUN_DIR_VARIABLE] = str(run_dir)
    try:
        yield run_dir
    except BaseException:
        if config.run_dir is None:
            with suppress(OSError):  # something was written
                run_dir.rmdir()
        raise


def _is_first() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _new_folder(config: TrainConfig | EvaluateConfig) -> Path:
    """Make a folder that no other run has, even one begun in the same second."""
    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect() and environment().world_size() > 1:
            raise ConfigError(
                "run_dir must be given where several processes are started from outside: each would name a folder of its own"
            )
    assert config.dataset is not None
    kind = Path("outputs") if isinstance(config, TrainConfig) else Path("outputs", "evaluate")
    stem = str((kind / config.dataset.name / time.strftime("%Y-%m-%d_%H-%M-%S")).absolute())
    for number in count(1):
        folder = Path(stem if number == 1 else f"{stem}_{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError


def _check(config: TrainConfig | EvaluateConfig, run_dir: Path) -> None:
    """Refuse a folder that holds another run, or none to go on with."""
    last = run_dir / "last.ckpt"
    if isinstance(config, EvaluateConfig):
        if (run_dir / "config.yaml").exists():
            raise ConfigError(
                f"run_dir={run_dir} holds a training run, whose own scores would be lost; name another folder"
            )
    elif config.resume and not last.is_file():
        raise ConfigError(
            f"there is no {last}; with resume, run_dir must name the folder of an interrupted run"
        )
    elif not config.resume and (last.exists() or (run_dir / "metrics.json").exists()):
        advice = "add resume=True to go on with it, or " if last.exists() else ""
        raise ConfigError(f"run_dir={run_dir} holds a run already; {advice}name another folder")
