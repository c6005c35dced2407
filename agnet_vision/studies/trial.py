"""One trial of a search: latency, then training if worthwhile.

Optuna's pruners know one value only, and would stop small networks for scoring less than large
ones. So its median pruner is shown the finished trials that are no slower, and no others: a trial
that scores less than those is not of the front, however fast it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytorch_lightning as pl
from optuna.trial import TrialState

from agnet_vision.errors import ConfigError, PredictionError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.export.latency import latency_ms
from agnet_vision.options.compose import Values
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.space import Search
from agnet_vision.training.build import build_model
from agnet_vision.training.run import train_with

MIN_RIVALS = 3  # ours: finished trials that are no slower, before any is stopped


def run_trial(
    search: Search, study: optuna.Study, trial: optuna.Trial, folder: Path, classes: tuple[str, ...]
) -> str:
    """Run a trial, tell Optuna, and return its outcome.

    Args:
        search: what it is of.
        study: what was found so far.
        trial: has its options.
        folder: of its run.
        classes: of the dataset.
    """
    options = search.options(trial.params, folder)
    try:
        latency = _latency(search, study, trial, options, classes)
        if search.budget_ms is not None and latency > search.budget_ms:
            raise optuna.TrialPruned(f"over budget: {latency:.2f} ms")
        watch = StopPoor(search.metric, folder, lambda scores: is_poor(study, latency, scores))
        try:
            train_with(options, [watch])
        except PredictionError as error:  # it has diverged
            raise optuna.TrialPruned(f"stopped: {error}") from error
        finally:
            trial.set_user_attr("scores", [watch.scores[epoch] for epoch in sorted(watch.scores)])
    except optuna.TrialPruned as end:
        trial.set_user_attr("reason", str(end))
        study.tell(trial, state=TrialState.PRUNED)
        result = str(end)
    else:
        score = max(watch.scores.values())
        study.tell(trial, (score, latency))
        result = f"{search.metric} {score:.4f}, {latency:.2f} ms"
    RunFolder(folder).last.unlink(missing_ok=True)  # nothing goes on from there any more
    return result


def _latency(
    search: Search,
    study: optuna.Study,
    trial: optuna.Trial,
    options: Values,
    classes: tuple[str, ...],
) -> float:
    """Measure a network's latency, once for all its trials.

    Raises:
        TrialPruned: there is no such network.
    """
    config = training_options(options)
    try:
        # As one that goes on: no weights are fetched for it.
        model = build_model(config.model_copy(update={"resume": True}), classes)
    except ConfigError as error:
        raise optuna.TrialPruned(f"impossible: {error}") from error
    network = hashlib.sha256(json.dumps(model.config(), sort_keys=True).encode()).hexdigest()
    known = [each.user_attrs for each in study.get_trials(deepcopy=False)]
    found = [each["latency_ms"] for each in known if each.get("network") == network]
    latency = found[0] if found else latency_ms(model)
    trial.set_user_attr("latency_ms", latency)
    trial.set_user_attr("network", network)
    return float(latency)


class StopPoor(pl.Callback):
    """An early end of a training whose scores are poor.

    Args:
        metric: of the validation split.
        folder: of the run; scores from before an interruption are read there.
        is_poor: tells whether the scores up to an epoch are poor.

    Attributes:
        scores: epoch -> score.
    """

    def __init__(
        self, metric: str, folder: Path, is_poor: Callable[[Mapping[int, float]], bool]
    ) -> None:
        self.name, self.is_poor = f"val/{metric}", is_poor
        rows = RunFolder(folder).read_history()
        self.scores = {int(row["epoch"]): row[self.name] for row in rows if self.name in row}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the score of every epoch but the last."""
        epoch = trainer.current_epoch
        self.scores[epoch] = float(trainer.callback_metrics[self.name])
        if epoch + 1 < (trainer.max_epochs or 0) and self.is_poor(self.scores):
            raise optuna.TrialPruned(f"stopped: {self.scores[epoch]:.4f} after epoch {epoch + 1}")


def is_poor(study: optuna.Study, latency: float, scores: Mapping[int, float]) -> bool:
    """Ask Optuna's median pruner, among trials no slower.

    Args:
        study: of the search.
        latency: of the trial, milliseconds.
        scores: of the trial so far, by epoch.
    """
    pruner = optuna.pruners.MedianPruner(n_startup_trials=MIN_RIVALS)
    rivals = optuna.create_study(direction="maximize", pruner=pruner)
    for each in study.get_trials(states=(TrialState.COMPLETE,)):
        if each.values[1] <= latency:
            course = dict(enumerate(each.user_attrs["scores"]))
            rivals.add_trial(optuna.create_trial(value=each.values[0], intermediate_values=course))
    trial = rivals.ask()
    for epoch, score in scores.items():
        trial.report(score, epoch)
    return bool(trial.should_prune())
