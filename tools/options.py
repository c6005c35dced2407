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
from yaml import YAMLError

from agnet_vision.errors import ConfigError

CONF = Path(__file__).parents[1] / "conf"
FREE = ("backbone.kwargs.", "model.head.")  # whatever timm.create_model and AGNetHead take
NULLABLE = ("gradient_clip",)  # a number by default, but null means something, too
OPEN = ("trainer.devices",)  # Lightning takes a number, a list of them, or auto


def check_options(config_name: str, arguments: list[str] | None = None) -> list[str]:
    """Compose the configuration once, and refuse what it does not know.

    Args:
        config_name: of the tool's file in ``conf/``, without ``.yaml``.
        arguments: of the command line; this process's by default.

    Returns:
        The arguments, with ``resume=true`` and the run's own dataset.

    Raises:
        ConfigError: a misspelt option or choice, or a value of the wrong type.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    given = [text for text in arguments if not text.startswith("-")]
    if len(given) < len(arguments):  # --help, --cfg, --multirun: Hydra's own business
        return arguments
    for text in given:
        if "=" not in text:
            raise ConfigError(f"options are given as name=value, got {text!r}")
    try:
        overrides = OverridesParser.create().parse_overrides(given)
    except HydraException as error:
        raise ConfigError(
            f"{str(error).splitlines()[0]}; quote values with special characters: name='\"value\"'"
        ) from error
    for override in overrides:
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} asks for several runs; add --multirun, or quotes if it is one value"
            )
    if config_name == "train":
        added = _resumed_dataset(overrides)
        given += added
        overrides += OverridesParser.create().parse_overrides(added)
    groups = [o for o in overrides if (CONF / o.key_or_group).is_dir()]
    for override in groups:
        _check_choice(override)
    # hydra.* options set Hydra itself; they are composed with the rest, so a misspelt one is still found there.
    values = [o for o in overrides if o not in groups and not o.key_or_group.startswith("hydra.")]
    known = _compose(config_name, [o.input_line for o in groups])
    for override in values:
        _check_override(override, known)
    if missing := sorted(OmegaConf.missing_keys(_compose(config_name, given))):
        raise ConfigError(f"{missing[0]}= is missing; {_comment(config_name, missing[0])}")
    return given


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
        raise ConfigError(
            f"{group}={choice} is not known; {near}choose one of {', '.join(choices)}"
        )


def _check_override(override: Override, known: DictConfig) -> None:
    """Refuse an option that the configuration does not have, however it is written (``name``, ``+name``, ``++name``)."""
    key = override.key_or_group
    names = list(_leaves(known))
    if override.is_delete() and not key.startswith(FREE):
        raise ConfigError(f"{key} is needed and cannot be taken out; give it a value: {key}=")
    if key.startswith(FREE):
        if key in names and override.is_add():
            raise ConfigError(
                f"{key} has a value already; change it without a plus sign: {override.input_line[1:]}"
            )
        if key not in names and not override.is_add() and not override.is_force_add():
            raise ConfigError(
                f"{key} is handed on as it is and needs a plus sign: +{override.input_line}"
            )
        return
    _check_value(key, override.value(), known, names)
    if key in names and override.is_add():
        raise ConfigError(
            f"{key} has a value already; change it without a plus sign: {override.input_line[1:]}"
        )


def _check_value(key: str, value: Any, known: DictConfig, names: list[str]) -> None:
    """Refuse an unknown option, and a value of another type than its default; of a group, look at each option."""
    inside = [name for name in names if name.startswith(f"{key}.")]
    if isinstance(value, dict) and inside:
        for name, part in value.items():
            _check_value(f"{key}.{name}", part, known, names)
    elif inside:
        raise ConfigError(
            f"{key} is a group of options; give one of them, {inside[0]}= for one, not {key}={value}"
        )
    elif key not in names:
        raise ConfigError(f"there is no option {key}; {_nearest(key, names)}--help lists all")
    else:
        default = OmegaConf.select(known, key, throw_on_missing=False)
        if (
            key not in OPEN
            and not (value is None and key in NULLABLE)
            and not _fits(value, default)
        ):
            raise ConfigError(
                f"{key} must be {_kind(default)} such as {default}, got {'null' if value is None else repr(value)}"
            )


def _comment(config_name: str, key: str) -> str:
    """Find what the configuration files say about a missing option."""
    group, _, last = key.rpartition(".")
    files = sorted((CONF / group).glob("*.yaml")) if group else [CONF / f"{config_name}.yaml"]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    comments = [
        line.split("#", 1)[1].strip()
        for line in lines
        if line.startswith(f"{last}: ???") and "#" in line
    ]
    return comments[0] if comments else f"see conf/{config_name}.yaml"


def _leaves(config: DictConfig, prefix: str = "") -> list[str]:
    """List the options of a configuration by their full names, Hydra's own left out."""
    names = []
    for key in config:
        name = f"{prefix}{key}"
        node = (
            None
            if OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key)
            else config[key]
        )
        if name != "hydra":
            names += (
                _leaves(node, f"{name}.") if isinstance(node, DictConfig) and len(node) else [name]
            )
    return names


def _fits(value: Any, default: Any) -> bool:
    """Tell whether a value has the type of the default; nothing is known where that is None or missing."""
    match default:
        case bool():
            return isinstance(value, bool)
        case int():
            return isinstance(value, int) and not isinstance(value, bool)
        case float():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case str():
            return isinstance(value, str)
        case _:
            return True


def _kind(default: Any) -> str:
    return {bool: "true or false,", int: "a whole number", float: "a number", str: "text"}.get(
        type(default), "a value"
    )


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
        ConfigError: nothing is stored there or it is damaged, or a whole group was given.
    """
    if not config.resume:
        return config
    stored = _stored(Path(config.run_dir), config)
    for override in OverridesParser.create().parse_overrides(HydraConfig.get().overrides.task):
        key = override.key_or_group
        if key == "dataset" and override.value() == stored.dataset.name:
            continue
        if (CONF / key).is_dir():
            raise ConfigError(
                f"with resume=true the run goes on with its own {key}; leave {key}= out"
            )
        OmegaConf.update(stored, key, OmegaConf.select(config, key))
    return stored


def _resumed_dataset(overrides: list[Override]) -> list[str]:
    """Name the dataset of the run to go on with, where the command line does not: its options are known by it."""
    given = {override.key_or_group: override.value() for override in overrides}
    run_dir = given.get("run_dir")
    if (
        given.get("resume") is not True
        or "dataset" in given
        or not isinstance(run_dir, str)
        or "${" in run_dir
    ):
        return []
    stored = _stored(Path(run_dir), _compose("train", []))
    return [f"dataset={stored.dataset.name}"]


def _stored(run_dir: Path, known: DictConfig) -> DictConfig:
    """Read the options of the run in a folder, which must be all that are known."""
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"resume=true, but there is no {path}; run_dir= must name the folder of an interrupted run"
        )
    cure = "put a good copy in its place, or start again with another run_dir="
    try:
        stored = OmegaConf.load(path)
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise ConfigError(
            f"{path} must be the options of a run in YAML, and is damaged; {cure}"
        ) from error
    name = OmegaConf.select(stored, "dataset.name") if isinstance(stored, DictConfig) else None
    if not isinstance(stored, DictConfig) or not isinstance(name, str):
        raise ConfigError(f"{path} must be the options of a run, and names no dataset; {cure}")
    needed = [key for key in _leaves(known) if not key.startswith((*FREE, "dataset."))]
    if lacking := [key for key in needed if OmegaConf.select(stored, key, default=...) is ...]:
        raise ConfigError(
            f"{path} must hold all options of a run, and lacks {lacking[0]}: it is damaged or of another version; {cure}"
        )
    return stored
