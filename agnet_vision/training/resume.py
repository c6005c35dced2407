"""What a resumed run must share with its past, checked before anything of it is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agnet_vision.errors import CheckpointError, ConfigError, ShellCommand
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import read_checkpoint
from agnet_vision.options.resolve import DRAWN, read_stored
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import look_up

# Parts of the description of a network that its weights depend on.
NETWORK_OPTIONS = ("backbone", "backbone_kwargs", "taps", "head_kwargs", "num_clusters", "variant")
# Options that the stored state of optimizer and callbacks depends on.
KEPT = ("optimizer.name", "optimizer.layer_decay", "backbone.freeze_at", "monitor")


def check_resumable(config: TrainConfig, folder: RunFolder) -> dict[str, Any]:
    """Refuse a run that has ended or does not fit the options; return its network's description.

    Raises:
        CheckpointError: there is no checkpoint of a run, or that of its best epoch is gone.
        ConfigError: the run is past its end, or an option is another that a run cannot change.
    """
    if not folder.last.is_file():
        raise ConfigError(
            f"there is no {folder.last}; with resume, run_dir must name the folder of an "
            "interrupted run"
        )
    checkpoint = read_checkpoint(folder.last)
    if not isinstance(checkpoint, dict) or not {"agnet", "loops", "callbacks"} <= set(checkpoint):
        raise CheckpointError(f"{folder.last} is not a checkpoint of a run of agnet_vision")
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done > config.epochs:
        raise ConfigError(
            f"epochs must be at least {done}, which the run has reached, got {config.epochs}"
        )

    stored = read_stored(folder.path)
    now = config.model_dump()
    names = [*KEPT, *DRAWN]  # with other images held out, it would train on those it is tested on
    if (stored["ema_decay"] is None) != (config.ema_decay is None):
        names.append("ema_decay")
    for name in names:
        if look_up(stored, name) != look_up(now, name):
            raise ConfigError(
                f"a run goes on with its own {name}={look_up(stored, name)}, "
                f"got {look_up(now, name)}; with resume leave {name} out"
            )

    if folder.is_tested() and (end := _end(checkpoint, config, done)):
        raise ConfigError(
            f"the run in {folder.path} has finished {end} to train longer, or test it again with",
            ShellCommand("evaluate", {"checkpoint": str(folder.path)}),
        )
    if _state(checkpoint, "BestCheckpoint").get("best_model_path") and not folder.best.is_file():
        raise CheckpointError(
            f"there is no {folder.best}, the best epoch so far; put it back, or start a new run"
        )
    description: dict[str, Any] = checkpoint["agnet"]["model"]
    return description


def _state(checkpoint: dict[str, Any], callback: str) -> dict[str, Any]:
    """Return what a callback has stored, or nothing."""
    states = checkpoint["callbacks"].items()
    return next((state for name, state in states if name.startswith(callback)), {})


def _end(checkpoint: dict[str, Any], config: TrainConfig, done: int) -> str:
    """Say how a run ended, and which option continues it; empty where it has not ended."""
    if done >= config.epochs:
        return f"its {config.epochs} epochs; raise epochs"
    patience = config.early_stopping_patience
    waited = _state(checkpoint, "EarlyStop").get("wait_count", 0)
    if patience is not None and waited >= max(patience, 1):
        return (
            f"after {done} epochs, {waited} of them without improvement; "
            "raise early_stopping_patience"
        )
    return ""


def check_network(before: dict[str, Any], model: AGNet, run_dir: Path) -> None:
    """Refuse to go on with another network.

    Raises:
        CheckpointError: says what differs.
    """
    now = model.config()
    for name in NETWORK_OPTIONS:
        if before[name] != now[name]:
            raise CheckpointError(
                f"the run in {run_dir} has {name} {before[name]!r}, "
                f"the options say {now[name]!r}; a run goes on with the network it began with"
            )
