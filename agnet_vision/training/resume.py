"""What a resumed run must share with its past.

Checked before anything of the run is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agnet_vision.errors import CheckpointError, ConfigError
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
    """Refuse to resume a run that cannot be.

    It has ended, or its state does not fit.

    Returns:
        The description of the run's network.

    Raises:
        CheckpointError: no checkpoint of a run, or that of its best epoch is gone.
        ConfigError: the run is past its end, or an option is another that a run cannot change.
    """
    checkpoint = read_checkpoint(folder.last)
    if not isinstance(checkpoint, dict) or not {"agnet", "loops", "callbacks"} <= set(checkpoint):
        raise CheckpointError(f"{folder.last} is not a checkpoint of a run of agnet_vision")
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done > config.epochs:
        raise ConfigError(
            f"epochs must be at least {done}, which the run has reached, got {config.epochs}"
        )
    stored, now = read_stored(folder.path), config.model_dump()
    # With other images held out, it would train on those it is tested on.
    for name in (*KEPT, *DRAWN):
        _refuse_change(name, look_up(stored, name), look_up(now, name))
    if (stored["ema_decay"] is None) != (config.ema_decay is None):
        _refuse_change("ema_decay", stored["ema_decay"], config.ema_decay)
    if folder.is_tested() and (end := _end(checkpoint, config, done)):
        raise ConfigError(
            f"the run in {folder.path} has finished {end} to train longer, or test it again with "
            f"agnet_vision.evaluate(checkpoint={str(folder.path)!r})"
        )
    if _state(checkpoint, "BestCheckpoint").get("best_model_path") and not folder.best.is_file():
        raise CheckpointError(
            f"there is no {folder.best}, the best epoch so far; put it back, or start a new run"
        )
    description: dict[str, Any] = checkpoint["agnet"]["model"]
    return description


def _state(checkpoint: dict[str, Any], callback: str) -> dict[str, Any]:
    """Find what a callback has stored, or nothing."""
    states = checkpoint["callbacks"].items()
    return next((state for name, state in states if name.startswith(callback)), {})


def _refuse_change(name: str, before: Any, now: Any) -> None:
    if before != now:
        raise ConfigError(
            f"a run goes on with its own {name}={before}, got {now}; with resume leave {name} out"
        )


def _end(checkpoint: dict[str, Any], config: TrainConfig, done: int) -> str:
    """Say how a run ended, and which option continues it.

    Empty where it has not ended.
    """
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
    """Refuse to go on with another network or other classes.

    Raises:
        CheckpointError: says what differs.
    """
    now = model.config()
    given = {name: value for name, value in before["head_kwargs"].items() if value is not None}
    before = {**before, "head_kwargs": given}  # older runs wrote width=None
    if before["classes"] != now["classes"]:
        raise CheckpointError(
            f"the run in {run_dir} has {len(before['classes'])} classes, "
            f"the dataset has {len(now['classes'])} now"
            f"{_first_difference(before['classes'], now['classes'])}; "
            "a run goes on with the classes it began with"
        )
    for name in NETWORK_OPTIONS:
        if before[name] != now[name]:
            raise CheckpointError(
                f"the run in {run_dir} has {name} {before[name]!r}, "
                f"the options say {now[name]!r}; a run goes on with the network it began with"
            )


def _first_difference(before: list[str], now: list[str]) -> str:
    """Name the first class that differs.

    For lists of equal length.
    """
    return next((f" ({a!r} was {b!r})" for a, b in zip(now, before, strict=False) if a != b), "")
