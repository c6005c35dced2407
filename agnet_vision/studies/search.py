"""Searches for options that score high within a latency budget.

Every trial is a training with options drawn from a space, in an ordinary run folder,
``<output>/trials/<number>``. Optuna draws the options, stops poor trials, and keeps what was found
in ``<output>/search.journal``. Processes that are given the same folder share it, and a trial whose
process has died goes on in the next one that looks for work.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import optuna
import pytorch_lightning as pl
import torch
from filelock import AcquireReturnProxy, FileLock, Timeout
from joblib import Parallel, delayed
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState
from pytorch_lightning.callbacks import LambdaCallback

from agnet_vision.errors import ConfigError, PredictionError, Stopped
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.export.latency import latency_ms
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.space import Search, short_text, values_of
from agnet_vision.training.build import build_model, build_table
from agnet_vision.training.console import console
from agnet_vision.training.run import train_with

MIN_RIVALS = 3  # ours: finished trials before any is stopped


def run_search(
    search: Search, output: Path, trials: int, *, jobs: int = 1, threads: int | None = None
) -> None:
    """Run trials until there are enough, other processes' included.

    Args:
        trials: number of trials in all, those that were stopped or not trained included.
        jobs: number of trials at a time, each in a process of its own.
        threads: number of torch's threads in each; None: the cores, shared out.

    Raises:
        ConfigError: the folder holds another search, there is nothing to validate on, or the data
            have no such score.
        Stopped: after Ctrl-C or another signal; the same search goes on where it was.
    """
    config = training_options(search.options({}, Path("unused")))
    table = build_table(config.dataset, config.seed)
    scores = table.task.headline
    if search.metric not in scores:
        raise ConfigError(f"metric must be one of {', '.join(scores)}, got {search.metric!r}")
    if not table.splits["val"]:
        raise ConfigError("a search needs a validation split; raise dataset.val_fraction")

    threads = threads or max(1, torch.get_num_threads() // jobs)
    work = (delayed(_work)(search, output, trials, table.classes, threads) for _ in range(jobs))
    try:
        Parallel(n_jobs=jobs)(work)  # one at a time is in this process: Ctrl-C saves
    except Stopped as stop:
        raise Stopped(stop.number, "the same command goes on with the search") from stop


def open_study(search: Search, output: Path) -> optuna.Study:
    """Open what was found so far.

    Raises:
        ConfigError: it is of another search.
    """
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
        with lock:
            drawn = values_of(trial.params).items()
            options = " ".join(f"{name}={short_text(value)}" for name, value in drawn)
            console().print(f"trial {trial.number}: {options}")
            result = run_trial(search, trial, output / "trials" / str(trial.number), classes)
        console().print(f"trial {trial.number}: {result}")


def next_trial(search: Search, output: Path, count: int) -> tuple[Trial, AcquireReturnProxy] | None:
    """Take a trial that nobody runs, and its lock; None: there are enough."""
    (output / "trials").mkdir(parents=True, exist_ok=True)

    def take(trial: Trial) -> tuple[Trial, AcquireReturnProxy]:
        lock = FileLock(output / "trials" / f".{trial.number}.lock")
        return trial, lock.acquire(timeout=0)

    with FileLock(output / ".lock"):
        study = open_study(search, output)
        for begun in study.get_trials(states=(TrialState.RUNNING,)):
            with suppress(Timeout):
                return take(Trial(study, begun._trial_id))  # its process has died
        if len(study.trials) >= count:
            return None
        return take(study.ask(search.distributions()))


def run_trial(search: Search, trial: Trial, folder: Path, classes: tuple[str, ...]) -> str:
    """Measure a network, train it if it is within the budget, and say what came of it."""
    try:
        latency = _latency(search, trial, folder, classes)
        if search.budget_ms is not None and latency > search.budget_ms:
            raise optuna.TrialPruned(f"over budget: {latency:.2f} ms")
        train_with(search.options(trial.params, folder), [pruning(trial, search.metric)])
    except (optuna.TrialPruned, PredictionError) as end:
        result = str(end)
        trial.set_user_attr("reason", result)
        trial.study.tell(trial, state=TrialState.PRUNED)
    else:
        score = max(trial.study.trials[trial.number].intermediate_values.values())
        trial.study.tell(trial, score)
        result = f"{search.metric} {score:.4f}, {latency:.2f} ms"

    RunFolder(folder).last.unlink(missing_ok=True)  # nothing goes on from there any more
    return result


def _latency(search: Search, trial: Trial, folder: Path, classes: tuple[str, ...]) -> float:
    """Measure a network's latency, once for all its trials, or noise would rank them.

    Raises:
        TrialPruned: there is no such network.
    """
    try:
        config = training_options(search.options(trial.params, folder))
        model = build_model(config, classes, with_weights=False)
    except ConfigError as error:
        raise optuna.TrialPruned(f"impossible: {error}") from error

    network = json.dumps(model.config(), sort_keys=True)
    known = (each.user_attrs for each in trial.study.trials)
    measured = [each["latency_ms"] for each in known if each.get("network") == network]
    latency = measured[0] if measured else latency_ms(model)
    trial.set_user_attr("latency_ms", latency)
    trial.set_user_attr("network", network)
    return latency


def pruning(trial: Trial, metric: str) -> LambdaCallback:
    """Report every epoch's score to Optuna, whose pruner may end the training."""

    def report(trainer: pl.Trainer, _: pl.LightningModule) -> None:
        epoch = trainer.current_epoch
        score = float(trainer.callback_metrics[f"val/{metric}"])
        trial.report(score, epoch)
        # The last epoch ends by itself.
        if epoch + 1 < (trainer.max_epochs or 0) and trial.should_prune():
            raise optuna.TrialPruned(f"stopped: {score:.4f} after epoch {epoch + 1}")

    return LambdaCallback(on_train_epoch_end=report)
