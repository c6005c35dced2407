"""From the few given options to a schema's nested values.

Later layers win: the defaults of the schema, the recipe of the dataset (``conf/recipe``), an
experiment (``conf/experiment`` or any YAML file), and what is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agnet_vision.errors import ConfigError
from agnet_vision.options.dataset import DEFAULT
from agnet_vision.options.fields import list_options
from agnet_vision.options.run import TRAINERS, TrainConfig
from agnet_vision.options.validation import OptionError, did_you_mean, unknown_option

Values = dict[str, Any]

# ``dataset="folder"`` is short for ``dataset={"name": "folder"}``.
CHOICES = {
    "dataset": "name",
    "backbone": "name",
    "model": "variant",
    "regions": "source",
    "logger": "name",
}
# Choosing another of these leaves nothing of the one before.
REPLACED = ("dataset", "backbone")


def conf_folder() -> Path:
    """Find recipes and experiments, in a wheel or a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_conf"
    return installed if installed.is_dir() else package.parent / "conf"


def compose(given: Mapping[str, Any]) -> Values:
    """Put recipe, experiment and what is given together.

    Args:
        given: options of ``TrainConfig`` by full name (``{"optimizer.lr": 0.01}``) or nested,
            choices in short, and ``experiment``.

    Raises:
        ConfigError: an experiment or trainer is not known, or a file is no YAML of options.
    """
    given = dict(given)
    experiment = _experiment(given.pop("experiment", "none"))
    own = nest(given)
    dataset = {**experiment.get("dataset", {}), **own.get("dataset", {})}.get("name", DEFAULT)
    recipe = conf_folder() / "recipe" / f"{dataset}.yaml"
    values = read_layer(recipe) if recipe.is_file() else {}
    return merge(merge(values, experiment), own)


def nest(given: Mapping[str, Any]) -> Values:
    """Write full names as nested groups, and choices in full.

    Their order does not matter.
    """
    nested: Values = {}
    # What is chosen comes before its options, or it would replace them.
    for name in sorted(given, key=lambda name: name.removesuffix(".name") not in REPLACED):
        value = given[name]
        *groups, last = name.split(".")
        if not groups and last in CHOICES and not isinstance(value, Mapping):
            value = _chosen(last, value)
        elif not groups and last == "trainer" and not isinstance(value, Mapping):
            if value not in TRAINERS:
                hint = did_you_mean(str(value), list(TRAINERS))
                raise OptionError("trainer", f"one of {', '.join(TRAINERS)}", value, hint)
            value = TRAINERS[value]
        for group in reversed(groups):
            value, last = {last: value}, group
        nested = merge(nested, {last: value})
    return nested


def _chosen(group: str, value: Any) -> Values:
    # backbone=timm: any other, which backbone.name says.
    return {CHOICES[group]: None if (group, value) == ("backbone", "timm") else value}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Lay nested values over others.

    Args:
        below: nested values that count where ``above`` has none.
        above: nested values; a group of another name replaces the one below as a whole.
    """
    merged = dict(below)
    for name, value in above.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            other = name in REPLACED and before.get("name") != value.get("name", before.get("name"))
            merged[name] = dict(value) if other else merge(before, value)
        else:
            merged[name] = value
    return merged


def _experiment(name: Any) -> Values:
    """Read an experiment, ours or the user's file."""
    return {} if name == "none" else read_layer(find_file("experiment", name, others=("none",)))


def find_file(option: str, name: Any, others: Sequence[str] = ()) -> Path:
    """Find a file of ours by name, or the user's.

    Args:
        option: the option that names it, and the folder in ``conf`` that holds ours.
        name: one of ours, or a YAML file.
        others: what else the option may be, for the error.

    Raises:
        ConfigError: there is no such file.
    """
    folder = conf_folder() / option
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name in known:
        return folder / f"{name}.yaml"
    path = Path(str(name)).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        rule = f"one of {', '.join([*others, *known])}, or a YAML file"
        raise OptionError(option, rule, name, did_you_mean(str(name), known))
    if not path.is_file():
        raise ConfigError(f"{option}: there is no file {path}")
    return path


def read_layer(path: Path) -> Values:
    """Read options from a YAML file, which errors name."""
    values = nest(read_yaml(path))
    known = list_options(TrainConfig)
    for name in full_names(values):
        if not any(name == each.name or name.startswith(f"{each.name}.") for each in known):
            raise ConfigError(f"{path}: {unknown_option(TrainConfig, name)}")
    return values


def full_names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List nested values by their full names."""
    names: list[str] = []
    for name, value in values.items():
        inside = isinstance(value, Mapping) and value
        names += full_names(value, f"{prefix}{name}.") if inside else [f"{prefix}{name}"]
    return names


def read_yaml(path: Path, cure: str = "") -> Values:
    """Read a YAML file of options, ``1e-3`` as a number.

    Args:
        path: the file.
        cure: what the error says to do, after its own words.

    Raises:
        ConfigError: it is damaged, or holds no options; says the cure.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} must be options in YAML, and is damaged{cure}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must be options in YAML, and names none{cure}")
    return {str(name): value for name, value in content.items()}


class _Loader(yaml.SafeLoader):
    """A YAML loader that takes ``1e-3`` for a number.

    YAML 1.1 takes it for text.
    """


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
