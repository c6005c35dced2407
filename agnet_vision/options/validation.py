"""From nested values to typed options, or one error that says rule, value and cure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from agnet_vision.errors import ConfigError, as_typed
from agnet_vision.options.fields import Options, list_options

T = TypeVar("T", bound=Options)

# What other libraries call an option of ours, where the two are not alike.
SYNONYMS = {
    "data": "root",
    "input": "images",
    "learning_rate": "lr",
    "model": "checkpoint",
    "path": "root",
    "resolution": "image_size",
    "source": "images",
    "wd": "weight_decay",
    "weights": "checkpoint",
}


def wrong_value(name: str, rule: str, value: Any, hint: str = "") -> ConfigError:
    """Return the error about a value that an option's rule does not allow."""
    return ConfigError(f"{name} must be {rule}, got {shown(value)}{hint}")


def shown(value: Any) -> str:
    """Write a value as an option has it, text in quotes."""
    return repr(value) if isinstance(value, str) else as_typed(value)


def validate(schema: type[T], values: Mapping[str, Any]) -> T:
    """Make the options of a schema from nested values, as ``{"optimizer": {"lr": 1e-3}}``.

    Raises:
        ConfigError: a name is unknown, an option is missing, or a value is not allowed.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False)
    # A misspelt name explains more than what it leaves missing.
    order = {"extra_forbidden": 0, "missing": 1}
    first = min(found, key=lambda each: order.get(each["type"], 2))
    raise _explain(schema, dict(first), values)


def unknown_option(schema: type[Options], name: str) -> ConfigError:
    """Return the error about an option a schema lacks."""
    names = [each.name for each in list_options(schema)]
    groups = dict.fromkeys(each.rpartition(".")[0] for each in names if "." in each)
    names += [group for group in groups if not name.startswith(f"{group}.")]
    hint = did_you_mean(name, names) or "; --help lists all"
    return ConfigError(f"there is no option {name}{hint}")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Suggest the most similar of the names there are, or nothing where nothing is similar.

    Its last part counts alone, too: ``lr`` is ``optimizer.lr``.
    """
    last = name.rsplit(".", 1)[-1]
    full_names: dict[str, list[str]] = {}
    for full in names:
        full_names.setdefault(full.rsplit(".", 1)[-1], []).append(full)

    if SYNONYMS.get(last) in full_names:
        last = SYNONYMS[last]

    nearest = partial(difflib.get_close_matches, n=1)
    found = (
        nearest(name, full_names.get(last, []), cutoff=0)
        or nearest(name, names, cutoff=0.6)
        or [full_names[each][0] for each in nearest(last, full_names, cutoff=0.75)]
    )
    return f"; did you mean {found[0]}?" if found else ""


def _explain(
    schema: type[Options], error: dict[str, Any], values: Mapping[str, Any]
) -> ConfigError:
    """Say in our own words what pydantic found."""
    if error["type"] == "value_error":  # from a validator of a schema, which has said it all
        return ConfigError(str(error["ctx"]["error"]))
    options = {each.name: each for each in list_options(schema)}
    path = [str(part) for part in error["loc"]]
    if len(path) > 2 and path[1] in getattr(options.get(f"{path[0]}.name"), "choices", ()):
        del path[1]  # of several groups pydantic names the chosen one, too
    name = ".".join(path)
    if error["type"] == "extra_forbidden":
        if name in options:  # of another choice of its group
            group, chosen = path[0], error["loc"][1]
            having = ", ".join(options[name].only)
            return ConfigError(
                f"{group}={chosen} has no option {name}; it is an option of {having}"
            )
        return unknown_option(schema, name)

    # What lies inside a list or mapping is part of one option.
    while name not in options and not any(each.startswith(f"{name}.") for each in options):
        name = name.rpartition(".")[0]
    if error["type"] == "union_tag_invalid":
        value, option = error["input"]["name"], options[f"{name}.name"]
    elif name in options:
        value, option = look_up(values, name), options[name]
    else:
        first = next(each for each in options if each.startswith(f"{name}."))
        return ConfigError(
            f"{name} is a group of options; give one of them, {first} for one, "
            f"not {shown(look_up(values, name))}"
        )
    if error["type"] == "missing":
        return ConfigError(f"{name} must be given: {option.description}")
    hint = did_you_mean(str(value), [str(choice) for choice in option.choices])
    return wrong_value(name, option.rule, value, hint)


def look_up(values: Mapping[str, Any], name: str) -> Any:
    """Find an option by its full name; None where there is no such option."""
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
