"""What the options of ``tools/train.py`` and ``tools/evaluate.py`` may be; checked before anything is read or made."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import timm
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from agnet_vision.data.preprocessing import PRESETS
from agnet_vision.errors import ConfigError
from agnet_vision.models.variants import VARIANTS
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.training.optim import OPTIMIZERS, SCHEDULES


class Number(NamedTuple):
    """The numbers an option may be: from ``low`` to ``high``, less the ends that are ``excluded``; ``nullable``: or null."""

    low: float = 0
    high: float = math.inf
    excluded: tuple[float, ...] = ()
    whole: bool = False
    nullable: bool = False

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of them; infinity and NaN are not."""
        if value is None:
            return self.nullable
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return (
            math.isfinite(value) and self.low <= value <= self.high and value not in self.excluded
        )

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        left, right = (
            "(" if self.low in self.excluded else "[",
            ")" if self.high in self.excluded else "]",
        )
        bounds = (
            f"of at least {self.low}"
            if self.high == math.inf
            else f"in {left}{self.low}, {self.high}{right}"
        )
        return f"{kind} {bounds}{', or null' if self.nullable else ''}"


COUNT = Number(1, whole=True)
FRACTION = Number(0, 1)
SHARE = Number(0, 1, excluded=(0,))
SEED = Number(0, 2**32 - 1, whole=True)  # what every generator in here takes

MONITORS = {"acc": "max", "mAP": "max", "mean_per_class_acc": "max", "loss": "min"}
SHARED: dict[str, Sequence[str] | Number] = {
    "seed": SEED,
    "workers": Number(0, whole=True, nullable=True),
    "trainer.precision": (
        "32-true",
        "bf16-mixed",
        "16-mixed",
    ),  # the true halves would round the boxes, too
    "trainer.num_nodes": COUNT,
}
TRAINING: dict[str, Sequence[str] | Number] = {
    **SHARED,
    "epochs": COUNT,
    "batch_size": Number(2, whole=True),  # batch norm learns nothing from a single image
    "accumulate_batches": COUNT,
    "image_size": COUNT,
    "sampler": ("shuffle", "balanced"),
    "monitor": tuple(MONITORS),
    "model.variant": tuple(VARIANTS),
    "augmentation.preset": PRESETS,
    "augmentation.crop_fraction": SHARE,
    "augmentation.rotation_degrees": Number(0, 180),
    "augmentation.min_crop_area": SHARE,
    "loss.class_weights": ("none", "balanced"),
    "loss.label_smoothing": Number(0, 1, excluded=(1,)),
    "optimizer.name": OPTIMIZERS,
    "optimizer.lr": Number(),
    "optimizer.backbone_lr": Number(),
    "optimizer.weight_decay": Number(),
    "optimizer.momentum": Number(0, 1, excluded=(1,)),
    "schedule.name": SCHEDULES,
    "schedule.warmup_epochs": Number(),
    "schedule.final_fraction": FRACTION,
    "schedule.step_epochs": COUNT,
    "schedule.step_factor": FRACTION,
    "gradient_clip": Number(nullable=True),
    "ema_decay": Number(0, 1, excluded=(0, 1), nullable=True),
    "freeze_backbone_epochs": Number(whole=True),
    "early_stopping_patience": Number(whole=True, nullable=True),
}
EVALUATION: dict[str, Sequence[str] | Number] = {
    **SHARED,
    "seed": SEED._replace(nullable=True),
    "batch_size": COUNT,
    "split": ("train", "val", "test"),
}
# Options that decide which images are held out.
DRAWN = (
    "seed",
    "dataset.split_seed",
    "dataset.drivers",
    "dataset.val_fraction",
    "dataset.test_fraction",
    "dataset.csv",
    "dataset.group_column",
    "dataset.group_regex",
)
# Options that are text; True: or null.
TEXTS = {
    "run_dir": False,
    "cache_dir": True,
    **dict.fromkeys(
        (f"dataset.{key}" for key in ("root", "csv", "group_column", "group_regex", "drivers")),
        True,
    ),
}
TRAINING_TEXTS = {
    **TEXTS,
    **dict.fromkeys(("backbone.name", "backbone.checkpoint", "wandb.project", "wandb.name"), True),
}
# Arguments of timm.create_model that are not the user's to give, and why.
TAKEN = {
    "in_chans": "the photographs are RGB",
    "features_only": "the features are taken by this library, from the stages that backbone.taps names",
    "num_classes": "the classes are the dataset's",
    "pretrained": "it is backbone.pretrained",
    "checkpoint_path": "it is backbone.checkpoint",
    "output_stride": "it is backbone.output_stride",
}


def check_options(config: DictConfig) -> None:
    """Find what cannot work in a training before anything is read or made.

    Raises:
        ConfigError: says which option, and what it may be.
    """
    _check_values(config, TRAINING, TRAINING_TEXTS)
    check_backbone_options(config.backbone)
    if not isinstance(config.model.head, DictConfig):
        raise ConfigError(
            f"model.head must be options of AGNetHead such as {{dropout: 0.2}}, got {config.model.head!r}"
        )
    with options_checked():
        RegionProposer(**config.regions)
    if config.wandb.project is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError("wandb.project is given, but W&B is not installed; pip install wandb")


def check_evaluation(config: DictConfig) -> None:
    """Find what cannot work in an evaluation before anything is read or made.

    Raises:
        ConfigError: says which option, and what it may be.
    """
    _check_values(config, EVALUATION, {**TEXTS, "checkpoint": False})


def _check_values(
    config: DictConfig, rules: Mapping[str, Sequence[str] | Number], texts: Mapping[str, bool]
) -> None:
    """Hold the options against their rules, one by one."""
    for name, rule in rules.items():
        value = OmegaConf.select(config, name)
        if isinstance(rule, Number):
            if not rule.holds(value):
                raise ConfigError(f"{name} must be {rule}, got {_shown(value)}")
        elif value not in rule:
            raise ConfigError(f"{name} must be one of {', '.join(rule)}, got {value!r}")
    for name, nullable in texts.items():
        value = OmegaConf.select(config, name)
        if not (isinstance(value, str) and value) and not (value is None and nullable):
            raise ConfigError(
                f"{name} must be text{' or null' if nullable else ''}, got {_shown(value)}"
                + (
                    f"; in quotes a number is text: {name}='\"{value}\"'"
                    if isinstance(value, int | float)
                    else ""
                )
            )


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)


def check_backbone_options(backbone: DictConfig) -> None:
    """Refuse options of the backbone that contradict each other, or what the library does with it.

    Raises:
        ConfigError: says which, and what to give instead.
    """
    if not isinstance(backbone.kwargs, DictConfig):
        raise ConfigError(
            f"backbone.kwargs must be options of timm.create_model such as {{drop_path_rate: 0.1}}, got {backbone.kwargs!r}"
        )
    for name, reason in TAKEN.items():
        if name in backbone.kwargs:
            raise ConfigError(
                f"backbone.kwargs must not have {name}: {reason}; leave +backbone.kwargs.{name}= out"
            )
    if backbone.output_stride not in (None, 8, 16, 32):
        raise ConfigError(
            f"backbone.output_stride must be 8, 16 or 32, got {backbone.output_stride}"
        )
    taps = backbone.taps
    if taps is not None and not (
        isinstance(taps, Sequence) and len(taps) and all(type(tap) is int for tap in taps)
    ):
        raise ConfigError(
            f"backbone.taps must be null or a list such as [-2] or [-2,-1], got {taps!r}"
        )


def check_network_options(name: str, options: Mapping[str, Any]) -> None:
    """Make a backbone without weights, to find options that it does not take.

    Raises:
        ConfigError: says which.
    """
    if not options or (reason := _refusal(name, options)) is None:
        return
    alone = {
        key: why
        for key, value in options.items()
        if (why := _refusal(name, {key: value})) is not None
    }
    key = next(iter(alone), None)
    if key is None:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ConfigError(
            f"the backbone {name} does not take {given} together ({reason}); change backbone.kwargs"
        )
    cure = (
        "give backbone.output_stride=null"
        if key == "output_stride"
        else f"leave +backbone.kwargs.{key}= out"
    )
    raise ConfigError(
        f"the backbone {name} does not take {key}={options[key]!r} ({alone[key]}); {cure}"
    )


def _refusal(name: str, options: Mapping[str, Any]) -> str | None:
    """Return why a timm model cannot be made with these options; None: it can."""
    try:
        with torch.device("meta"):
            timm.create_model(name, num_classes=0, **options)
    except (
        AssertionError,
        AttributeError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        text = " ".join(str(error).split())
        return (
            "it has no such option"
            if "unexpected keyword argument" in text
            else text or "it has one value only"
        )
    return None


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
