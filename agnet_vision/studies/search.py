"""Searches for options that score high within a latency budget.

Every trial is a training with options drawn from a space, in an ordinary run folder,
``<output>/trials/<number>``. Optuna draws the options, stops poor trials, and keeps what was found
in ``<output>/search.journal``. Processes that are given the same folder share it, and a trial whose
process has died goes on in the next one that looks for work.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import torch
import yaml
from filelock import FileLock, Timeout
from joblib import Parallel, delayed
from matplotlib import pyplot as plt
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna.visualization.matplotlib import plot_pareto_front

from agnet_vision.errors import ConfigError, Stopped
from agnet_vision.evaluation.environment import environment
from agnet_vision.files import write_atomically
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.comparison import markdown_table
from agnet_vision.studies.space import Search, value_of
from agnet_vision.studies.trial import run_trial
from agnet_vision.training.build import build_table
from agnet_vision.training.console import console

MIN_RIVALS = 3  # ours: finished trials before any is stopped
# What became of a trial; ``front``: none scores higher without being slower.
OUTCOMES = ("front", "finished", "stopped", "over budget", "impossible")
# Options of a trial that a training of its own need not have.
OF_A_TRIAL = {"run_dir", "resume", "test", "report"}


def run_search(
    search: Search, output: Path, trials: int, *, jobs: int = 1, threads: int | None = None
) -> None:
    """Run trials until there are enough, other processes' included.

    Args:
        search: what to try.
        output: folder of the search.
        trials: number of trials in all, those that were stopped or not trained included.
        jobs: number of trials at a time, each in a process of its own.
        threads: number of torch's threads in each; None: the cores, shared out.

    Raises:
        ConfigError: the folder holds another search, or there is nothing to validate on.
        Stopped: after Ctrl-C or another signal; the same search goes on where it was.
    """
    config = training_options(search.options({}, Path("unused")))
    table = build_table(config.dataset, config.seed)
    if not table.splits["val"]:
        raise ConfigError("a search needs a validation split; raise dataset.val_fraction")

    threads = threads or max(1, torch.get_num_threads() // jobs)
    work = (delayed(_work)(search, output, trials, table.classes, threads) for _ in range(jobs))
    try:
        # In the caller's own process where it is one at a time: Ctrl-C saves, as in any training.
        Parallel(n_jobs=jobs, backend="loky" if jobs > 1 else "sequential")(work)
    except Stopped as stop:
        raise Stopped(stop.number, "the same command goes on with the search") from stop


def open_study(search: Search, output: Path) -> optuna.Study:
    """Open what was found so far.

    Raises:
        ConfigError: it is of another search.
    """
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="search",
        storage=JournalStorage(JournalFileBackend(str(output / "search.journal"))),
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=MIN_RIVALS),
        load_if_exists=True,
    )

    own = json.loads(json.dumps(asdict(search)))
    before = study.user_attrs.get("search", own)
    if other := [name for name in own if own[name] != before[name]]:
        raise ConfigError(
            f"{output} holds a search with another {other[0]}; "
            "name another output, or go on with its options"
        )
    study.set_user_attr("search", own)
    # A generator per trial: what is drawn does not depend on how often the search was interrupted.
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    return study


def _work(search: Search, output: Path, count: int, classes: tuple[str, ...], threads: int) -> None:
    """Run one trial after the other while there are any."""
    torch.set_num_threads(threads)
    while (taken := next_trial(search, output, count)) is not None:
        trial, lock = taken
        drawn = " ".join(f"{name}={_shown(value)}" for name, value in _options(trial).items())
        console().print(f"trial {trial.number}: {drawn}")
        try:
            result = run_trial(search, trial, output / "trials" / str(trial.number), classes)
        finally:
            lock.release()
        console().print(f"trial {trial.number}: {result}")


def next_trial(search: Search, output: Path, count: int) -> tuple[Trial, FileLock] | None:
    """Take a trial that nobody runs, and its lock; None: there are enough."""
    (output / "trials").mkdir(parents=True, exist_ok=True)
    with FileLock(output / ".lock"):
        study = open_study(search, output)
        for begun in study.get_trials(states=(TrialState.RUNNING,)):
            lock = FileLock(output / "trials" / f".{begun.number}.lock")
            with suppress(Timeout):
                lock.acquire(timeout=0)  # its process has died
                return Trial(study, begun._trial_id), lock

        if len(study.trials) >= count:
            return None
        trial = study.ask(search.distributions())
        lock = FileLock(output / "trials" / f".{trial.number}.lock")
        lock.acquire()
        return trial, lock


def _options(trial: Trial | FrozenTrial) -> dict[str, Any]:
    return {name: value_of(drawn) for name, drawn in trial.params.items()}


def summarize_search(search: Search, output: Path) -> FrozenTrial:
    """Write a search's table, JSON, plot and best options, and return the best trial.

    Raises:
        ConfigError: no trial is finished.
    """
    study = open_study(search, output)
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not finished:
        reasons = sorted({trial.user_attrs["reason"] for trial in trials})
        raise ConfigError(
            f"no trial was finished ({'; '.join(reasons) or 'none was begun'}); "
            "raise budget.latency_ms or trials, or change the space"
        )
    best = study.best_trial
    front = _front(finished, search.metric, output / "front.png")
    rows = [_row(trial, front) for trial in trials]
    rows.sort(key=lambda row: (OUTCOMES.index(row["outcome"]), row["latency_ms"] or 0))
    content = {
        **study.user_attrs["search"],
        "processor": environment()["device"],
        "best": best.number,
        "trials": rows,
    }
    write_atomically(output / "search.json", json.dumps(content, indent=1) + "\n")
    text = f"{trials_table(rows, search.metric)}\n![front](front.png)\n"
    write_atomically(output / "README.md", text)

    (output / "experiment").mkdir(exist_ok=True)
    write_atomically(output / "experiment" / "best.yaml", _experiment(search, best))
    return best


def _experiment(search: Search, best: FrozenTrial) -> str:
    """Write a trial's options as a file of the group ``experiment``, to train anew."""
    values = training_options(search.options(best.params, Path())).model_dump(exclude=OF_A_TRIAL)
    choice = {"defaults": [{"override /dataset": values["dataset"]["name"]}]}
    found = f"{search.metric} {best.value:.4f}, {best.user_attrs['latency_ms']:.2f} ms"
    text = yaml.safe_dump({**choice, **values}, sort_keys=False, allow_unicode=True)
    return f"# @package _global_\n# Trial {best.number} of a search: {found}.\n{text}"


def _front(finished: Sequence[FrozenTrial], metric: str, path: Path) -> set[int]:
    """Draw the Pareto front of score and latency, and return its trials' numbers."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for trial in finished:
        values = [trial.values[0], trial.user_attrs["latency_ms"]]
        study.add_trial(optuna.create_trial(values=values))
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        plot_pareto_front(
            study,
            target_names=["latency of one image, ms", f"validation {metric}, %"],
            targets=lambda trial: (trial.values[1], 100 * trial.values[0]),
        )
        plt.savefig(path, dpi=120)
        plt.close()
    return {finished[best.number].number for best in study.best_trials}


def _row(trial: FrozenTrial, front: set[int]) -> dict[str, Any]:
    """Describe a trial that has ended, ready for JSON."""
    reason = trial.user_attrs.get("reason", "")
    scores = list(trial.intermediate_values.values())
    return {
        "number": trial.number,
        "outcome": "front" if trial.number in front else reason.partition(":")[0] or "finished",
        "options": _options(trial),
        "score": max(scores, default=None),
        "latency_ms": trial.user_attrs.get("latency_ms"),
        "scores": scores,
        "reason": reason,
    }


def trials_table(rows: Sequence[dict[str, Any]], metric: str) -> str:
    """Write the table of trials, scores in percent."""
    names = list(dict.fromkeys(name for row in rows for name in row["options"]))
    cells = [
        [
            str(row["number"]),
            "" if row["score"] is None else f"{100 * row['score']:.2f}",
            "" if row["latency_ms"] is None else f"{row['latency_ms']:.2f}",
            str(len(row["scores"])),
            *(_shown(row["options"].get(name)) for name in names),
            row["outcome"],
        ]
        for row in rows
    ]
    return markdown_table(["trial", f"{metric} %", "ms", "epochs", *names, "outcome"], cells)


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
