"""Hydra's composition of the tree in ``conf/``, as plain values.

The one file below the command line that imports Hydra. Whatever Hydra keeps for the whole process
is left as it was found, so that options can be composed in a notebook, in a worker process, or
inside somebody's own Hydra application.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agnet_vision.errors import ConfigError, as_typed, first_line
from agnet_vision.options.run import LoggerConfig, TrainConfig
from agnet_vision.options.validation import did_you_mean, look_up, unknown_option, wrong_value

Values = dict[str, Any]

HYDRA_VERSION = "1.3"
# Group -> the options that are decided by a choice from it; the rest of a group are defaults.
DECIDED = {
    "dataset": ("name",),
    "backbone": ("name",),
    "model": ("variant",),
    "regions": ("source",),
    "trainer": ("accelerator", "devices", "strategy"),
    "logger": tuple(LoggerConfig.model_fields),
}


@dataclass(frozen=True)
class Composed:
    """The options of a command.

    Attributes:
        values: all of them, nested.
        names: full names of what was given, groups of which a file was chosen among them.
    """

    values: Values
    names: tuple[str, ...]

    @property
    def given(self) -> Values:
        """Return the options that were given, by their full names."""
        given: Values = {}
        for name in self.names:
            if name.partition(".")[0] in self.values:  # no experiment
                for each in [f"{name}.{last}" for last in DECIDED.get(name, ())] or [name]:
                    given[each] = look_up(self.values, each)
        return given


def conf_folder() -> Path:
    """Find the tree of configurations, in a wheel or a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_conf"
    return installed if installed.is_dir() else package.parent / "conf"


def compose(command: str, given: Mapping[str, Any]) -> Composed:
    """Compose the options of a command.

    Args:
        command: name of its file in ``conf/``.
        given: options by full name (``{"optimizer.lr": 0.01}``) or nested; a group may be the name
            of its file (``{"trainer": "cpu"}``), a backbone any name of timm.

    Raises:
        ConfigError: a group has no such file, or a value refers to an option that is not there.
    """
    options = flatten(given)
    choices = {name: options.pop(name) for name in groups_of(command) if name in options}
    if "backbone" in choices and choices["backbone"] not in files_of("backbone"):
        options = {"backbone.name": choices["backbone"], **options}
        choices["backbone"] = "timm"

    # A list is [csv,wandb] to Hydra.
    words = tuple(
        f"{group}={as_typed(choice)}".replace("'", "") for group, choice in choices.items()
    )
    with composition_errors():
        config = OmegaConf.create(lay_over(tree(command, words), options))
        return as_composed(config, [*choices, *options])


def lay_over(values: Any, options: Mapping[str, Any]) -> Values:
    """Lay options, by their full names, over nested values, which stay as they are."""
    config = OmegaConf.create(copy.deepcopy(values))
    for name, value in options.items():
        OmegaConf.update(config, name, value, force_add=True)
    laid: Any = OmegaConf.to_container(config)
    return dict(laid)


def as_composed(config: DictConfig, names: Iterable[str]) -> Composed:
    """Take the values out of what Hydra has composed, and resolve references such as ``${seed}``.

    What must be given, and is not, is left out.
    """
    values = OmegaConf.to_container(config, resolve=True)
    return Composed(_without_missing(values), tuple(dict.fromkeys(names)))


def _without_missing(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: _without_missing(value) for name, value in values.items() if value != "???"}


@contextmanager
def composition_errors() -> Iterator[None]:
    """Say in a line what cannot be composed.

    Raises:
        ConfigError: says it.
    """
    try:
        yield
    except MissingConfigException as error:
        missing = re.fullmatch(r"((?:hydra/)?\w+)/(.*?)(?:\.yaml)?", str(error.missing_cfg_file))
        known = sorted(error.options or ())
        if not missing or not known:  # it is no file of a group, but a folder of the user's
            raise ConfigError(first_line(error)) from error
        group, choice = missing.groups()
        hint = did_you_mean(choice, known) or "; --config-dir=FOLDER adds yours"
        raise wrong_value(group, f"one of {', '.join(known)}", choice, hint) from error
    except OverrideParseException as error:
        name, _, value = error.override.lstrip("+").partition("=")
        cure = f'if it is text, type "{name}={quoted(value)}"'
        raise ConfigError(f"{name}={value} cannot be read; {cure}") from error
    except HydraException as error:
        text = first_line(error)
        if ambiguous := re.search(r"'\+*([^']*)'", text) if "multirun" in str(error) else None:
            text = f"{ambiguous[1]} asks for several runs; add --multirun, or quotes around a value"
        raise ConfigError(text) from error
    except OmegaConfBaseException as error:
        name = str(error.full_key or "").replace("hydra.run.dir", "run_dir")
        found = re.match(r"Interpolation key '(.*)' not found", str(error))
        what = unknown_option(TrainConfig, found[1]) if found else first_line(error)
        raise ConfigError(f"{name}: {what}") from error


def quoted(text: str) -> str:
    """Write text so that Hydra's grammar takes it unchanged."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


@cache
def groups_of(command: str) -> tuple[str, ...]:
    """List the groups of which a command takes a file: ``dataset``, ``model``, ..."""
    defaults = read_yaml(conf_folder() / f"{command}.yaml")["defaults"]
    names = [name for entry in defaults if isinstance(entry, dict) for name in entry]
    return tuple(name for name in names if "@" not in name)


def files_of(group: str, own: str | Path = "") -> list[str]:
    """List the files of a group, with those in the user's own tree if there is one."""
    folders = [conf_folder(), Path(own)] if own else [conf_folder()]
    return sorted({path.stem for each in folders for path in (each / group).glob("*.yaml")})


@cache
def tree(command: str, words: tuple[str, ...]) -> DictConfig:
    """Compose a command's tree for a choice of files."""
    theirs, version = GlobalHydra.instance(), VersionBase.instance()
    running, version_base = theirs.hydra, version.version_base
    theirs.clear()
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base=HYDRA_VERSION):
            return hydra.compose(command, list(words))
    finally:
        theirs.hydra, version.version_base = running, version_base
        GlobalHydra.set_instance(theirs)


def flatten(options: Mapping[str, Any]) -> Values:
    """Write options by their full names; what comes later counts.

    ``{"optimizer": {"lr": 0.1}}`` becomes ``{"optimizer.lr": 0.1}``, and a choice goes by the name
    of its group, ``backbone`` for ``backbone.name``. The range of a search, a mapping with ``low``,
    is one value.
    """
    flat: Values = {}
    for name, value in leaves(options):
        group, _, last = name.rpartition(".")
        if DECIDED.get(group) == (last,):
            name = group
        flat.pop(name, None)
        flat[name] = value
    return flat


def lay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Lay options over others, both by their full names.

    Another dataset or backbone leaves none of the options of the one below.
    """
    chosen = [name for name in ("dataset", "backbone") if above.get(name) != below.get(name)]
    chosen = [f"{name}." for name in chosen if name in above]
    kept = {name: value for name, value in below.items() if not name.startswith(tuple(chosen))}
    return {**kept, **above}


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List nested options by their full names."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and "low" not in value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def find_file(option: str, folder: str, name: str) -> Path:
    """Find a file of ours in a folder of ``conf/``, or the user's own by its path.

    Raises:
        ConfigError: there is no such file; it names the option.
    """
    known = files_of(folder)
    if name in known:
        return conf_folder() / folder / f"{name}.yaml"
    path = Path(name).expanduser()
    if not path.is_file():
        rule = f"one of {', '.join(known)}, or a YAML file that is there"
        raise wrong_value(option, rule, name, did_you_mean(name, known))
    return path


def read_yaml(path: Path, cure: str = "") -> Values:
    """Read a YAML file of options.

    Args:
        path: path of the file.
        cure: advice at the end of the error.

    Raises:
        ConfigError: the file is damaged, or holds no options.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} must be options in YAML, and is damaged{cure}") from error
    if not content or not isinstance(content, dict):
        raise ConfigError(f"{path} must be options in YAML, and names none{cure}")
    return {str(name): value for name, value in content.items()}
