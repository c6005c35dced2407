"""One trial: its rivals, and the end of poor ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from agnet_vision.options.run import TrainConfig
from agnet_vision.studies.trial import StopPoor, is_poor
from agnet_vision.training.train import train


@pytest.fixture
def study() -> optuna.Study:
    """Four finished trials, the slower the better, and one stopped."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for latency, scores in ((2.0, [0.1, 0.2]), (3.0, [0.3, 0.4]), (4.0, [0.5, 0.6])):
        study.add_trial(finished(scores, latency))
    study.add_trial(finished([0.8, 0.9], 9.0))
    study.add_trial(
        optuna.create_trial(state=optuna.trial.TrialState.PRUNED, user_attrs={"latency_ms": 1.0})
    )
    return study


def finished(scores: list[float], latency: float) -> optuna.trial.FrozenTrial:
    return optuna.create_trial(values=[max(scores), latency], user_attrs={"scores": scores})


@pytest.mark.parametrize(
    ("latency", "scores", "poor"),
    [
        (5.0, [0.29], True),  # the median of 0.1, 0.3 and 0.5 is 0.3
        (5.0, [0.31], False),
        (5.0, [0.31, 0.39], True),  # that of the second epoch is 0.4
        (9.0, [0.31], True),  # of four: 0.4
        (3.5, [0.0], False),  # only two are no slower
    ],
)
def test_value_rivals_are_no_slower(
    study: optuna.Study, latency: float, scores: list[float], poor: bool
) -> None:
    assert is_poor(study, latency, dict(enumerate(scores))) is poor


def test_a_poor_training_ends_after_its_epoch(
    configure: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    seen: list[dict[int, float]] = []

    def second_is_poor(scores: object) -> bool:
        seen.append(dict(scores))
        return len(seen) == 2

    config = configure("epochs=4", "test=false", "model=backbone_only", "logger=none")
    watch = StopPoor("acc", tmp_path / "run", second_is_poor)
    with pytest.raises(optuna.TrialPruned, match=r"stopped: .* after epoch 2"):
        train(config, [watch])
    assert [list(scores) for scores in seen] == [[0], [0, 1]]
    assert 0 in StopPoor("acc", tmp_path / "run", second_is_poor).scores  # as one that goes on
