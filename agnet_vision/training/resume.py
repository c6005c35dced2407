"""What a run that goes on must have, checked before anything of it is touched."""

from __future__ import annotations

from typing import Any

from agnet_vision.errors import ConfigError, ShellCommand
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.checkpoint import read_checkpoint
from agnet_vision.options.run import TrainConfig


def check_resumable(config: TrainConfig, folder: RunFolder) -> tuple[str, ...]:
    """Refuse a run that has ended, and return the classes of one that goes on.

    Raises:
        CheckpointError: the checkpoint is damaged.
        ConfigError: there is no checkpoint, or the run has reached its end.
    """
    if not folder.last.is_file():
        raise ConfigError(
            f"there is no {folder.last}; with resume, run_dir must name the folder of an "
            "interrupted run"
        )
    checkpoint = read_checkpoint(folder.last)
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done > config.epochs:
        raise ConfigError(
            f"epochs must be at least {done}, which the run has reached, got {config.epochs}"
        )

    has_ended = done == config.epochs or _stopped_early(checkpoint, config)
    if folder.is_tested() and has_ended:
        option = "epochs" if done == config.epochs else "early_stopping_patience"
        raise ConfigError(
            f"the run in {folder.path} has finished after {done} epochs; "
            f"raise {option} to train longer, or test it again with",
            ShellCommand("evaluate", {"checkpoint": str(folder.path)}),
        )
    return tuple(checkpoint["agnet"]["model"]["classes"])


def _stopped_early(checkpoint: dict[str, Any], config: TrainConfig) -> bool:
    """Tell whether the run has waited long enough for a better epoch."""
    patience = config.early_stopping_patience
    states = checkpoint["callbacks"].items()
    waited = [state["wait_count"] for name, state in states if name.startswith("EarlyStop")]
    return patience is not None and any(count >= max(patience, 1) for count in waited)
