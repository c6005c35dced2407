"""Searches for options that score high and run fast.

Each trial is a training with options drawn from a space.

Every trial is an ordinary run folder, ``<output>/trials/<number>``. Optuna draws the options and
keeps what was found in ``<output>/search.journal``. Processes that are given the same folder share
it, and a trial whose process has died goes on in the next one that looks for work.

Two values count: a high score on the validation split, and a low latency of the exported network.
The latency is known before training, so a trial over the budget is not trained at all; one that
scores poorly for its latency is stopped early (``trial.is_poor``).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import optuna
import torch
import yaml
from filelock import FileLock, Timeout
from joblib import Parallel, delayed
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from agnet_vision.errors import ConfigError, Stopped
from agnet_vision.evaluation.charts import save_png
from agnet_vision.evaluation.environment import environment
from agnet_vision.files import write_atomically
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.charts import latency_front
from agnet_vision.studies.pareto import Candidate, as_markdown, in_order, in_words
from agnet_vision.studies.space import Search, value_of
from agnet_vision.studies.trial import run_trial
from agnet_vision.training.build import build_table
from agnet_vision.training.console import console

# Options of a trial that a training of its own need not have.
OF_A_TRIAL = {"run_dir", "resume", "test", "report"}


def run_search(
    search: Search, output: Path, trials: int, *, jobs: int = 1, threads: int | None = None
) -> None:
    """Run trials until there are enough, other processes' included.

    Args:
        search: what to try.
        output: folder of the search.
        trials: in all, those that were stopped or not trained included.
        jobs: trials at a time, each in a process of its own.
        threads: of torch in each; None: the cores, shared out.

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
        directions=["maximize", "minimize"],
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
    # A generator a trial: what is drawn does not depend on how often the search was interrupted.
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    return study


def _work(
    search: Search, output: Path, trials: int, classes: tuple[str, ...], threads: int
) -> None:
    """Run one trial after the other while there are any."""
    torch.set_num_threads(threads)
    while (found := _next_trial(search, output, trials)) is not None:
        study, trial, lock = found
        folder = _folder(trial, output)
        console().print(f"trial {folder.name}: {in_words(_options(trial))}")
        try:
            result = run_trial(search, study, trial, folder, classes)
        finally:
            lock.release()
        console().print(f"trial {folder.name}: {result}")


def _next_trial(
    search: Search, output: Path, count: int
) -> tuple[optuna.Study, optuna.Trial, FileLock] | None:
    """Take a trial and its lock, dead processes' trials first."""
    (output / "trials").mkdir(parents=True, exist_ok=True)
    with FileLock(output / ".lock"):
        study = open_study(search, output)
        for dead in study.get_trials(states=(TrialState.RUNNING,)):
            with suppress(Timeout), _lock(dead, output).acquire(timeout=0):
                study.tell(dead.number, state=TrialState.FAIL)
                folder = {"folder": _folder(dead, output).name}
                study.enqueue_trial(dead.params, user_attrs=folder)
        taken = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
        if len(study.get_trials(states=taken)) >= count:
            return None
        trial = study.ask(search.distributions())
        lock = _lock(trial, output)
        lock.acquire()
        return study, trial, lock


def _folder(trial: optuna.Trial | FrozenTrial, output: Path) -> Path:
    """Name a trial's run folder, kept when it is resumed."""
    return output / "trials" / trial.user_attrs.get("folder", str(trial.number))


def _lock(trial: optuna.Trial | FrozenTrial, output: Path) -> FileLock:
    folder = _folder(trial, output)
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def _options(trial: optuna.Trial | FrozenTrial) -> dict[str, object]:
    return {name: value_of(drawn) for name, drawn in trial.params.items()}


def summarize_search(search: Search, output: Path) -> Candidate:
    """Write a search's table, JSON, plot and best options.

    Returns:
        The best trial: that of the highest score.

    Raises:
        ConfigError: no trial is finished.
    """
    study = open_study(search, output)
    front = {trial.number for trial in study.best_trials}
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    trials = in_order([_candidate(trial, output, trial.number in front) for trial in ended])
    if not front:
        reasons = sorted({each.reason for each in trials})
        raise ConfigError(
            f"no trial was finished ({'; '.join(reasons) or 'none was begun'}); "
            "raise budget.latency_ms or trials, or change the space"
        )
    best = max(trials[: len(front)], key=lambda each: each.score or 0.0)
    content = {
        **study.user_attrs["search"],
        "processor": environment()["device"],
        "best": best.number,
        "trials": [asdict(each) for each in trials],
    }
    write_atomically(output / "search.json", json.dumps(content, indent=1) + "\n")
    text = f"{as_markdown(trials, search.metric)}\n![front](front.png)\n"
    write_atomically(output / "README.md", text)
    save_png(latency_front(trials, search.metric, search.budget_ms), output / "front.png")
    write_atomically(output / "best.yaml", _experiment(search, best))
    return best


def _candidate(trial: FrozenTrial, output: Path, is_front: bool) -> Candidate:
    """Read what became of a trial that has ended."""
    scores, reason = trial.user_attrs.get("scores", []), trial.user_attrs.get("reason", "")
    outcome = "front" if is_front else reason.partition(":")[0] or "finished"
    return Candidate(
        number=int(_folder(trial, output).name),
        outcome=outcome,
        options=_options(trial),
        score=max(scores, default=None),
        latency_ms=trial.user_attrs.get("latency_ms"),
        scores=tuple(scores),
        reason=reason,
    )


def _experiment(search: Search, best: Candidate) -> str:
    """Write a trial's options as an experiment, to train anew."""
    options = search.options(
        {name: json.dumps(value) for name, value in best.options.items()}, Path()
    )
    values = training_options(options).model_dump(exclude_unset=True, exclude=OF_A_TRIAL)
    found = f"{search.metric} {best.score:.4f} on the validation split, {best.latency_ms:.2f} ms"
    return f"# Trial {best.number} of a search: {found}.\n{yaml.safe_dump(values, sort_keys=False)}"
