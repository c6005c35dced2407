"""What describes a network, and what a description may hold.

A description comes from a file, and the file may come from a stranger. So it is held against
``bounds`` before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from reprlib import repr as short_repr
from typing import Any

from torch.nn.modules.module import register_module_module_registration_hook

from agnet_vision.bounds import BOUNDS, check_bounds
from agnet_vision.task import task_from

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
CROP_MODES = ("center", "squash", "border")
MAX_MODULES = 10_000  # layers and blocks of a network; timm's largest has a quarter of that
MAX_VALUES = 256  # in a list of backbone_kwargs
# Arguments of timm.create_model that read files or the network.
REACHING_OUT = (
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
)


@dataclass(frozen=True)
class Description:
    """All that rebuilds a network and prepares its input.

    The fields are arguments of ``AGNet``; ``regions`` are the settings of its proposer, which
    checks them, as ``AGNetHead`` checks ``variant`` and ``head_kwargs``.
    """

    backbone: str
    backbone_kwargs: Mapping[str, Any]
    taps: Sequence[int] | None
    head_kwargs: Mapping[str, Any]
    num_classes: int
    num_clusters: int
    variant: str
    classes: Sequence[str] | None
    data_config: Mapping[str, Any]
    regions: Mapping[str, Any]
    calibration: Mapping[str, float] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_backbone(self.backbone, self.backbone_kwargs)
        check_bounds(num_classes=self.num_classes, num_clusters=self.num_clusters)
        if self.taps is not None and not _are_numbers("taps", self.taps):
            raise ValueError(
                f"taps must be null or a list of stages such as [-2], got {short_repr(self.taps)}"
            )
        _check_data_config(self.data_config, self.backbone_kwargs.get("in_chans", 3))
        check_bounds(**self.calibration)
        task_from(self.task, self.num_classes)


def check_backbone(name: Any, options: Mapping[str, Any]) -> None:
    """Refuse backbones that name files, network, code or huge numbers."""
    if not isinstance(name, str) or ":" in name:
        raise ValueError(
            f"backbone must be the name of a timm architecture, got {short_repr(name)}"
        )
    for key, value in options.items():
        if key in REACHING_OUT:
            raise ValueError(f"backbone_kwargs must name no files and no network, got {key}")
        if not _is_plain(value):
            raise ValueError(
                f"backbone_kwargs must hold text, {BOUNDS['backbone_kwargs']}, or at most "
                f"{MAX_VALUES} of them, got {key}={short_repr(value)}"
            )


@contextmanager
def limited_modules() -> Iterator[None]:
    """Refuse to make more than ``MAX_MODULES`` layers and blocks.

    A number of a description may stand for so many of them that making them takes minutes; which
    number that is differs from one architecture to the next.
    """
    numbers = count(1)

    def count_module(*_: object) -> None:
        """Count a module that becomes part of another."""
        if next(numbers) > MAX_MODULES:
            raise ValueError(f"a network must have at most {MAX_MODULES:,} modules, this has more")

    hook = register_module_module_registration_hook(count_module)
    try:
        yield
    finally:
        hook.remove()


def _check_data_config(config: Mapping[str, Any], channels: int) -> None:
    """Refuse an input, in timm's words, by which no image of so many channels can be prepared."""
    for name, length in (("input_size", 3), ("mean", channels), ("std", channels)):
        if not _are_numbers(name, config.get(name), length):
            raise ValueError(
                f"data_config must have {length} numbers as {name}, each {BOUNDS[name]}, "
                f"got {short_repr(config.get(name))}"
            )
    check_bounds(crop_pct=config.get("crop_pct"))
    for name, allowed in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
        if config.get(name) not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}, got {short_repr(config.get(name))}"
            )


def _are_numbers(name: str, values: Any, count: int | None = None) -> bool:
    """Tell whether values are a list of ``count`` numbers (None: a few) within a bound."""
    if not isinstance(values, list | tuple):
        return False
    fits = len(values) == count if count is not None else 0 < len(values) <= BOUNDS[name].high
    return fits and all(BOUNDS[name].holds(value) for value in values)


def _is_plain(value: Any) -> bool:
    """Tell whether a value is nothing, a switch, a short text, a number or a list of such."""
    if isinstance(value, list | tuple):
        return len(value) <= MAX_VALUES and all(_is_plain(each) for each in value)
    if isinstance(value, str):
        return len(value) < 100
    return value is None or isinstance(value, bool) or BOUNDS["backbone_kwargs"].holds(value)
