"""The end of poor trials."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest

from agnet_vision.options.run import TrainConfig
from agnet_vision.studies.trial import Pruning
from agnet_vision.training.train import train


def test_a_poor_training_ends_after_its_epoch(configure: Callable[..., TrainConfig]) -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    better = {0: 0.0, 1: 1.1, 2: 1.2, 3: 1.3}
    study.add_trial(optuna.create_trial(value=1.3, intermediate_values=better))
    trial = study.ask()

    config = configure("epochs=4", "test=false", "model=backbone_only", "logger=none")
    with pytest.raises(optuna.TrialPruned, match=r"stopped: .* after epoch 2"):
        train(config, [Pruning(trial, "acc")])
    assert list(study.trials[1].intermediate_values) == [0, 1]
