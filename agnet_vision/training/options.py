"""What the options of ``tools/train.py`` and ``tools/evaluate.py`` may be; checked before anything is read or made."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from agnet_vision.data.transforms import PRESETS
from agnet_vision.errors import ConfigError
from agnet_vision.head import Variant
from agnet_vision.regions import RegionProposer
from agnet_vision.training.optim import OPTIMIZERS, SCHEDULES, schedule_factor

MONITORS = {"acc": "max", "mAP": "max", "mean_per_class_acc": "max", "loss": "min"}
CHOICES: dict[str, Sequence[str]] = {
    "monitor": tuple(MONITORS),
    "loss.class_weights": ("none", "balanced"),
    "optimizer.name": OPTIMIZERS,
    "schedule.name": SCHEDULES,
    "sampler": ("shuffle", "balanced"),
    "augmentation.preset": PRESETS,
    "model.variant": get_args(Variant),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),  # the true halves would round the boxes, too
}


def check_options(config: DictConfig) -> None:
    """Find what cannot work before anything is read or made.

    Raises:
        ConfigError: says which option, and what it may be.
    """
    for name, choices in CHOICES.items():
        if (value := OmegaConf.select(config, name)) not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    for name in ("epochs", "batch_size", "accumulate_batches", "image_size"):
        if config[name] < 1:
            raise ConfigError(f"{name} must be at least 1, got {config[name]}")
    for name in ("workers", "gradient_clip", "optimizer.lr", "optimizer.backbone_lr", "optimizer.weight_decay"):
        if ((value := OmegaConf.select(config, name)) or 0) < 0:
            raise ConfigError(f"{name} must not be negative, got {value}")
    if config.backbone.output_stride not in (None, 8, 16, 32):
        raise ConfigError(f"backbone.output_stride must be 8, 16 or 32, got {config.backbone.output_stride}")
    if not 0 <= config.loss.label_smoothing < 1:
        raise ConfigError(f"loss.label_smoothing must be in [0, 1), got {config.loss.label_smoothing}")
    with options_checked():
        schedule_factor(steps_per_epoch=1, epochs=config.epochs, **config.schedule)
        RegionProposer(**config.regions)
    if config.wandb.project is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError("wandb.project is given, but W&B is not installed; pip install wandb")


@contextmanager
def options_checked() -> Iterator[None]:
    """Turn a wrong value of an option, found where objects are made, into an error of the user's."""
    try:
        yield
    except (ValueError, TypeError, MisconfigurationException) as error:
        if "accelerator" in str(error) or "backend found" in str(error):
            raise ConfigError(
                f"{' '.join(str(error).split())} Choose trainer=auto, which takes what this machine has, or trainer=cpu"
            ) from error
        raise ConfigError(" ".join(str(error).split())) from error
