"""What describes a network, and what a description may hold.

It comes from a file, and the file may come from a stranger. So it is held against ``bounds`` before
anything is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch.nn import Module
from torch.nn.modules.module import register_module_module_registration_hook

from agnet_vision.bounds import BOUNDS, check_bounds, shown

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
CROP_MODES = ("center", "squash", "border")
MAX_MODULES = 10_000  # layers and blocks of a network; timm's largest has a quarter of that
MAX_VALUES = 256  # in a list of backbone_kwargs, and of its lists together
# Arguments of timm.create_model that read files or the network.
REACHING_OUT = (
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
)


def check_config(config: Mapping[str, Any]) -> None:
    """Hold what ``AGNet.config`` returns against the bounds.

    ``RegionProposer`` does the same with its settings.

    Raises:
        ValueError: says which entry, and what it may be.
        LookupError: an entry is missing.
    """
    check_backbone(config["backbone"], config["backbone_kwargs"])
    check_taps(config["taps"])
    check_bounds(num_classes=config["num_classes"], num_clusters=config["num_clusters"])
    check_data_config(config["data_config"], config["backbone_kwargs"].get("in_chans", 3))
    calibration = config.get("calibration", {})
    if not isinstance(calibration, Mapping) or set(calibration) - {"temperature", "tau"}:
        raise ValueError(
            f"calibration must have temperature and tau or nothing, got {shown(calibration)}"
        )
    check_bounds(**calibration)


def check_backbone(name: Any, options: Any) -> None:
    """Refuse backbones that name files, network, code or huge numbers.

    Args:
        name: of a timm architecture.
        options: for ``timm.create_model``: numbers, text, and lists of them.

    Raises:
        ValueError: says what may not be.
    """
    if not isinstance(name, str) or ":" in name:
        raise ValueError(f"backbone must be the name of a timm architecture, got {shown(name)}")
    if not isinstance(options, Mapping):
        raise ValueError(f"backbone_kwargs must be options by name, got {shown(options)}")
    for key, value in options.items():
        if key in REACHING_OUT:
            raise ValueError(f"backbone_kwargs must name no files and no network, got {key}")
        _check_plain(key, value)


def check_data_config(config: Any, channels: int) -> None:
    """Refuse an input by which no image can be prepared.

    Args:
        config: timm's words: ``input_size`` (channels, height, width), ``mean`` and ``std`` (one
            number a channel), ``interpolation``, ``crop_pct`` and ``crop_mode``.
        channels: of the images.

    Raises:
        ValueError: says which entry, and what it may be.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"data_config must have entries by name, got {shown(config)}")
    for name, count in (("input_size", 3), ("mean", channels), ("std", channels)):
        values: Any = config.get(name)
        numbers = isinstance(values, list | tuple) and len(values) == count
        if not numbers or not all(BOUNDS[name].holds(value) for value in values):
            raise ValueError(
                f"data_config must have {count} numbers as {name}, each {BOUNDS[name]}, "
                f"got {shown(values)}"
            )
    check_bounds(crop_pct=config.get("crop_pct"))
    for name, allowed in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
        if config.get(name) not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}, got {shown(config.get(name))}"
            )


def check_taps(taps: Any) -> None:
    """Refuse taps that are not a short list of stages.

    Raises:
        ValueError: says what they may be.
    """
    if taps is None:
        return
    few = isinstance(taps, list | tuple) and 0 < len(taps) <= BOUNDS["taps"].high
    if not few or not all(BOUNDS["taps"].holds(tap) for tap in taps):
        raise ValueError(f"taps must be null or a list of stages such as [-2], got {shown(taps)}")


@contextmanager
def limited_modules() -> Iterator[None]:
    """Refuse to make more than ``MAX_MODULES`` layers and blocks.

    A number of a description may stand for so many of them that making them takes minutes; which
    number that is differs from one architecture to the next.

    Raises:
        ValueError: there are more.
    """
    count = 0

    def count_module(parent: Module, name: str, child: Module | None) -> None:
        """Count a module that becomes part of another."""
        nonlocal count
        count += 1
        if count > MAX_MODULES:
            raise ValueError(f"a network must have at most {MAX_MODULES:,} modules, this has more")

    hook = register_module_module_registration_hook(count_module)
    try:
        yield
    finally:
        hook.remove()


def _check_plain(name: str, value: Any) -> None:
    """Refuse anything but numbers, text and short lists, within bounds."""
    values = list(_leaves(value, depth=0))
    if len(values) > MAX_VALUES:
        raise ValueError(f"backbone_kwargs must hold at most {MAX_VALUES} values in {name}")
    for leaf in values:
        plain = (
            leaf is None or isinstance(leaf, bool) or (isinstance(leaf, str) and len(leaf) < 100)
        )
        if not plain and not BOUNDS["backbone_kwargs"].holds(leaf):
            raise ValueError(
                f"backbone_kwargs must hold text, or {BOUNDS['backbone_kwargs']}, "
                f"got {name}={shown(leaf)}"
            )


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    """Yield the values of lists, nested four deep at most."""
    if isinstance(value, list | tuple) and depth < 4:
        for item in value:
            yield from _leaves(item, depth + 1)
    else:
        yield value
