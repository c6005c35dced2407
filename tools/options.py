"""Check a tool's command line before Hydra does: one line that names the nearest right option, instead of a page."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agnet_vision.errors import ConfigError

CONF = Path(__file__).parents[1] / "conf"
FREE = ("backbone.kwargs.", "model.head.")  # whatever timm.create_model and AGNetHead take


def check_options(config_name: str, arguments: list[str] | None = None) -> None:
    """Compose the configuration once, and refuse what it does not know.

    Args:
        config_name: of the tool's file in ``conf/``, without ``.yaml``.
        arguments: of the command line; this process's by default.

    Raises:
        ConfigError: a misspelt option or choice, or a value of the wrong type.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    given = [text for text in arguments if not text.startswith("-")]
    if len(given) < len(arguments):  # --help, --cfg, --multirun: Hydra's own business
        return
    for text in given:
        if "=" not in text:
            raise ConfigError(f"options are given as name=value, got {text!r}")
    try:
        overrides = OverridesParser.create().parse_overrides(given)
    except HydraException as error:
        raise ConfigError(
            f"{str(error).splitlines()[0]}; quote values with special characters: name='\"value\"'"
        ) from error
    groups = [o for o in overrides if (CONF / o.key_or_group).is_dir()]
    for override in groups:
        _check_choice(override)
    # hydra.* options set Hydra itself; they are composed with the rest, so a misspelt one is still found there.
    values = [o for o in overrides if o not in groups and not o.key_or_group.startswith("hydra.")]
    known = _compose(config_name, [o.input_line for o in groups])
    for override in values:
        _check_value(override, known)
    if missing := sorted(OmegaConf.missing_keys(_compose(config_name, given))):
        raise ConfigError(f"{missing[0]}= is missing; {_comment(config_name, missing[0])}")


def _compose(config_name: str, overrides: list[str]) -> DictConfig:
    try:
        with initialize_config_dir(str(CONF), version_base=None):
            return compose(config_name, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(" ".join(str(error).split())) from error


def _check_choice(override: Override) -> None:
    """Refuse a choice that has no file."""
    group, choice = override.key_or_group, override.value()
    choices = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if choice not in choices:
        near = _nearest(str(choice), choices)
        raise ConfigError(f"{group}={choice} is not known; {near}choose one of {', '.join(choices)}")


def _check_value(override: Override, known: DictConfig) -> None:
    """Refuse an option that the configuration does not have, however it is written (``name``, ``+name``, ``++name``)."""
    key = override.key_or_group
    names = list(_leaves(known))
    if key.startswith(FREE):
        if key in names and override.is_add():
            raise ConfigError(f"{key} has a value already; change it without a plus sign: {override.input_line[1:]}")
        if key not in names and not override.is_add() and not override.is_force_add():
            raise ConfigError(f"{key} is handed on as it is and needs a plus sign: +{override.input_line}")
        return
    if key not in names and not any(name.startswith(f"{key}.") for name in names):
        near = _nearest(key, names)
        raise ConfigError(f"there is no option {key}; {near}--help lists all")
    if key in names and override.is_add():
        raise ConfigError(f"{key} has a value already; change it without a plus sign: {override.input_line[1:]}")
    default = OmegaConf.select(known, key, throw_on_missing=False) if key in names else None
    if not _fits(override.value(), default):
        raise ConfigError(f"{key} must be {_kind(default)} such as {default}, got {override.value()!r}")


def _comment(config_name: str, key: str) -> str:
    """Find what the configuration files say about a missing option."""
    group, _, last = key.rpartition(".")
    files = sorted((CONF / group).glob("*.yaml")) if group else [CONF / f"{config_name}.yaml"]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    comments = [line.split("#", 1)[1].strip() for line in lines if line.startswith(f"{last}: ???") and "#" in line]
    return comments[0] if comments else f"see conf/{config_name}.yaml"


def _leaves(config: DictConfig, prefix: str = "") -> list[str]:
    """List the options of a configuration by their full names, Hydra's own left out."""
    names = []
    for key in config:
        name = f"{prefix}{key}"
        node = None if OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key) else config[key]
        if name != "hydra":
            names += _leaves(node, f"{name}.") if isinstance(node, DictConfig) and len(node) else [name]
    return names


def _fits(value: Any, default: Any) -> bool:
    """Tell whether a value has the type of the default; nothing is known where that is None or missing."""
    match default:
        case bool():
            return isinstance(value, bool)
        case int():
            return isinstance(value, int) and not isinstance(value, bool)
        case float():
            return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        case _:
            return True


def _kind(default: Any) -> str:
    return {bool: "true or false,", int: "a whole number", float: "a number"}.get(type(default), "a value")


def _nearest(name: str, names: list[str]) -> str:
    """Suggest the most similar name, comparing last parts, too: ``lr`` is near to ``optimizer.lr``."""
    if found := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"did you mean {found[0]}? "
    last = name.rsplit(".", 1)[-1]
    by_last = {full.rsplit(".", 1)[-1]: full for full in reversed(names)}
    found = difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)
    return f"did you mean {by_last[found[0]]}? " if found else ""


def restore_options(config: DictConfig) -> DictConfig:
    """With ``resume=true``, return the options stored in the run's folder, changed only by single options given now.

    Raises:
        ConfigError: nothing is stored there, or a whole group was given.
    """
    if not config.resume:
        return config
    path = Path(config.run_dir) / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"resume=true, but there is no {path}; run_dir= must name the folder of an interrupted run")
    stored = OmegaConf.load(path)
    for override in OverridesParser.create().parse_overrides(HydraConfig.get().overrides.task):
        key = override.key_or_group
        if (CONF / key).is_dir():
            raise ConfigError(f"with resume=true the run goes on with its own {key}; leave {key}= out")
        OmegaConf.update(stored, key, OmegaConf.select(config, key))
    return DictConfig(stored)
