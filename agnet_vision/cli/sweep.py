"""The runs of ``--multirun``: all checked before the first starts, and told together at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnet_vision.errors import ConfigError, ShellCommand

if TYPE_CHECKING:
    from agnet_vision.training import Run

# What a sweep has beside the options of its runs: where they run, and below which folder.
AROUND = ("hydra/launcher=", "hydra.launcher.", "hydra.sweep.dir=")


def rehearsal(words: Sequence[str], folder: str) -> list[str]:
    """Rewrite the words of a sweep for this process and another folder."""
    kept = [word for word in words if not word.lstrip("+").startswith(AROUND)]
    return ["hydra/launcher=basic", "hydra/hydra_logging=none", f"hydra.sweep.dir={folder}", *kept]


def refuse_shared(run_dirs: dict[str, str], run_dir: str, run: str) -> None:
    """Note the folder of a run.

    Args:
        run_dirs: folders so far, and whose they are.

    Raises:
        ConfigError: another run has it.
    """
    if other := run_dirs.get(run_dir):
        raise ConfigError(
            f"run_dir must be another folder for each run, got {run_dir} for {other} and for "
            f"{run}; leave it out, or fill in what differs, as in run_dir='seeds/${{seed}}'"
        )
    run_dirs[run_dir] = run


def print_runs(name: str, done: Sequence[tuple[Sequence[str], Run]]) -> None:
    """Print a table of finished runs, and how trainings are compared."""
    from rich.table import Table

    from agnet_vision.training.console import console

    shared = set[str].intersection(*(set(words) for words, _ in done))
    table = Table("run", "acc", "mAP", "folder")
    for words, run in done:
        differing = [word for word in words if word not in shared]
        own = " ".join(word for word in differing if not word.startswith("run_dir="))
        scores = run.metrics or {}
        table.add_row(
            own,
            *(f"{scores[each]:.4f}" if each in scores else "" for each in ("acc", "mAP")),
            os.path.relpath(run.folder),
        )
    console().print(table)

    if name == "train" and all(run.metrics for _, run in done):
        folders = [os.path.relpath(run.folder) for _, run in done]
        command = ShellCommand("study", {"runs": f"[{','.join(folders)}]"})
        console().print(f"to compare them: {command}")
