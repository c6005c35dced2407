"""What a run that goes on must have in common with the run it was: found before anything of it is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.training.options import DRAWN

# Parts of the description of a network that its weights depend on.
NETWORK = ("backbone", "backbone_kwargs", "taps", "head_kwargs", "num_clusters", "variant")


def check_resumable(checkpoint: Any, config: DictConfig, run_dir: Path) -> dict[str, Any]:
    """Refuse to go on where nothing is left to do, or where the state of training would not fit.

    Returns:
        The description of the run's network.

    Raises:
        CheckpointError: no checkpoint of a run.
        ConfigError: the run is past its end, or an option is another that a run cannot change.
    """
    if not isinstance(checkpoint, dict) or not {"agnet", "loops", "callbacks"} <= set(checkpoint):
        raise CheckpointError(f"{run_dir}/last.ckpt is not a checkpoint of a run of agnet_vision")
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if done > config.epochs:
        raise ConfigError(
            f"epochs must be at least {done}, which the run has reached, got {config.epochs}"
        )
    stored = OmegaConf.load(run_dir / "config.yaml")
    for name in (
        "optimizer.name",
        "monitor",
        *DRAWN,
    ):  # with other images held out, it would train on those it is tested on
        _refuse_change(name, OmegaConf.select(stored, name), OmegaConf.select(config, name))
    if (stored.ema_decay is None) != (config.ema_decay is None):
        _refuse_change("ema_decay", stored.ema_decay, config.ema_decay)
    if RunFolder(run_dir).is_tested() and (end := _end(checkpoint, config, done)):
        raise ConfigError(
            f"the run in {run_dir} has finished {end} to train longer, or test it again with "
            f"tools/evaluate.py checkpoint={run_dir}"
        )
    description: dict[str, Any] = checkpoint["agnet"]["model"]
    return description


def _refuse_change(name: str, before: Any, now: Any) -> None:
    if before != now:
        raise ConfigError(
            f"with resume=true the run goes on with its own {name}={before}, got {now}; leave {name}= out"
        )


def _end(checkpoint: dict[str, Any], config: DictConfig, done: int) -> str:
    """Say how a run ended, and which option takes it further; nothing where it has not."""
    if done >= config.epochs:
        return f"its {config.epochs} epochs; raise epochs="
    patience = config.early_stopping_patience
    waited = [
        state["wait_count"]
        for key, state in checkpoint["callbacks"].items()
        if key.startswith("EarlyEnd")
    ]
    if patience is not None and waited and waited[0] >= max(patience, 1):
        return f"after {done} epochs, {waited[0]} of them without improvement; raise early_stopping_patience="
    return ""


def check_network(before: dict[str, Any], model: AGNet, run_dir: Path) -> None:
    """Refuse to go on with another network than the described one, or other classes.

    Raises:
        CheckpointError: says what differs.
    """
    now = model.config()
    if before["classes"] != now["classes"]:
        raise CheckpointError(
            f"the run in {run_dir} has {len(before['classes'])} classes, the dataset has {len(now['classes'])} now"
            f"{_first_difference(before['classes'], now['classes'])}; a run goes on with the classes it began with"
        )
    for name in NETWORK:
        if before[name] != now[name]:
            raise CheckpointError(
                f"the run in {run_dir} has {name} {before[name]!r}, the options say {now[name]!r}; a run goes on with the "
                "network it began with"
            )


def _first_difference(before: list[str], now: list[str]) -> str:
    """Name the first class that differs where their number is the same."""
    return next((f" ({a!r} was {b!r})" for a, b in zip(now, before, strict=False) if a != b), "")
