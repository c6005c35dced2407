"""One trial of a search: its latency, then its training if that is within the budget."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import optuna
import pytorch_lightning as pl
from optuna.trial import TrialState

from agnet_vision.errors import ConfigError, PredictionError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.export.latency import latency_ms
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.space import Search
from agnet_vision.training.build import build_model
from agnet_vision.training.run import train_with


def run_trial(search: Search, trial: optuna.Trial, folder: Path, classes: tuple[str, ...]) -> str:
    """Run a trial, tell Optuna, and say what came of it.

    Args:
        search: the search that it is part of.
        trial: the options that were drawn.
        folder: run folder of the trial.
        classes: names of the dataset's classes.
    """
    try:
        latency = _latency(search, trial, folder, classes)
        if search.budget_ms is not None and latency > search.budget_ms:
            raise optuna.TrialPruned(f"over budget: {latency:.2f} ms")
        train_with(search.options(trial.params, folder), [Pruning(trial, search.metric)])
    except (optuna.TrialPruned, PredictionError) as end:
        diverged = isinstance(end, PredictionError)
        result = f"stopped: {end}" if diverged else str(end)
        trial.set_user_attr("reason", result)
        trial.study.tell(trial, state=TrialState.PRUNED)
    else:
        scores = trial.study.trials[trial.number].intermediate_values
        trial.study.tell(trial, max(scores.values()))
        result = f"{search.metric} {max(scores.values()):.4f}, {latency:.2f} ms"

    RunFolder(folder).last.unlink(missing_ok=True)  # nothing goes on from there any more
    return result


def _latency(search: Search, trial: optuna.Trial, folder: Path, classes: tuple[str, ...]) -> float:
    """Measure a network's latency, once for all its trials, or noise would rank them.

    Raises:
        TrialPruned: there is no such network.
    """
    config = training_options(search.options(trial.params, folder))
    try:
        model = build_model(config, classes, with_weights=False)
    except ConfigError as error:
        raise optuna.TrialPruned(f"impossible: {error}") from error

    network = hashlib.sha256(json.dumps(model.config(), sort_keys=True).encode()).hexdigest()
    known = (each.user_attrs for each in trial.study.trials)
    measured = [each["latency_ms"] for each in known if each.get("network") == network]
    latency = measured[0] if measured else latency_ms(model)
    trial.set_user_attr("latency_ms", latency)
    trial.set_user_attr("network", network)
    return latency


class Pruning(pl.Callback):
    """A report of every epoch's score to Optuna, whose pruner may end the training.

    Args:
        trial: the trial that is trained.
        metric: score of the validation split.
    """

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self.trial = trial
        self.metric = metric

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the score; the last epoch ends by itself."""
        epoch = trainer.current_epoch
        score = float(trainer.callback_metrics[f"val/{self.metric}"])
        self.trial.report(score, epoch)
        if epoch + 1 < (trainer.max_epochs or 0) and self.trial.should_prune():
            raise optuna.TrialPruned(f"stopped: {score:.4f} after epoch {epoch + 1}")
