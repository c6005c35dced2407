"""The typed fields that make a schema of options.

A schema is a subclass of ``Options``; its groups are fields that are ``Options`` themselves. Types,
bounds and descriptions stand there, defaults in ``conf/``: pydantic refuses what a type does not
allow, and its JSON schema tells errors, help and reference page what there is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from agnet_vision.bounds import BOUNDS
from agnet_vision.choices import Shown

# What JSON schema calls a type -> what we do.
KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
}
Json = dict[str, Any]


class Options(BaseModel):
    """A group of options that refuses what is unknown.

    Nothing is converted, and nothing is changed afterwards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def option(description: str, *, rule: str | None = None, bound: str = "", **bounds: Any) -> Any:
    """Declare an option of a schema.

    Args:
        description: purpose of the option, in a line.
        rule: values it may have, in words, where its type and bounds do not say it well.
        bound: name of its bound in ``agnet_vision.bounds``, where others share it.
        **bounds: bounds of its own, ``ge``, ``gt``, ``le``, ``lt`` or ``min_length``.
    """
    if bound:
        bounds = {"ge": BOUNDS[bound].low, "le": BOUNDS[bound].high}
    extra: dict[str, JsonValue] | None = {"rule": rule} if rule else None
    return Field(description=description, json_schema_extra=extra, **bounds)


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


Text = Annotated[str, Field(min_length=1)]
# A file or folder: ``~`` is the user's home, and what is stored is right from any other folder.
LocalPath = Annotated[Text, BeforeValidator(_as_text), AfterValidator(_absolute)]
# A file or folder, or something else: owner/name on the Hub, a pattern of files.
Place = Annotated[Text, BeforeValidator(_as_text), AfterValidator(os.path.expanduser)]
Seed = Annotated[int, Field(ge=BOUNDS["seed"].low, le=BOUNDS["seed"].high)]

# Options that several commands have.
Checkpoint = Annotated[
    Place, option("run folder, best.ckpt, folder of save_pretrained, or owner/name on the Hub")
]
Images = Annotated[
    Place | list[Place],
    option(
        "file, folder, pattern such as 'photos/*.jpg', - for a list on stdin, or [several,of,these]"
    ),
]
Device = Annotated[Text, option("auto, cpu, cuda, or any other of torch's")]
Workers = Annotated[int | None, option("loader processes; null: one per core, at most 8", ge=0)]
CacheDir = Annotated[
    LocalPath | None,
    option("folder of stored keypoints; null: .agnet_cache in the dataset's folder"),
]
ImageSize = Annotated[
    int | None,
    option("side of the images in pixels; null: as the network says", bound="input_size"),
]
View = Annotated[
    Shown | None,
    option(
        "crop: the middle of an image, which keeps its shape; whole: all of it, squeezed to a "
        "square; null: as the network says"
    ),
]
Base = Annotated[
    dict[str, Any],
    option(
        "options of all trainings, laid over those of the file: base.dataset.root=...",
        rule="options of train such as {epochs: 3}",
    ),
]
Jobs = Annotated[int, option("trainings at a time, each in a process of its own", ge=1)]
Threads = Annotated[
    int | None, option("threads of torch in each process; null: the cores, shared out", ge=1)
]
Progress = Annotated[bool, option("draw a progress bar with a time estimate")]


@dataclass(frozen=True)
class Option:
    """An option of a schema, as errors, help, reference page and command line need it.

    Attributes:
        name: full name, such as ``optimizer.lr``.
        rule: the values it may have, in words.
        choices: the values it may have; empty where they are not a list.
        is_text: whether any text is a value, as of a path.
        is_free: whether it is a mapping whose entries are handed on as they are.
        only: the choices of its group that have this option; empty: all.
    """

    name: str
    description: str
    rule: str
    choices: tuple[Any, ...]
    is_text: bool
    is_free: bool
    only: tuple[str, ...] = ()


@cache
def list_options(schema: type[Options]) -> tuple[Option, ...]:
    """List the options of a schema and of its groups, in order."""
    content = schema.model_json_schema()
    return tuple(_list(content, content.get("$defs", {}), ""))


def _list(group: Json, definitions: Json, prefix: str) -> Iterator[Option]:
    for name, field in group.get("properties", {}).items():
        parts = _parts(field)
        groups = [definitions[part["$ref"].rsplit("/", 1)[1]] for part in parts if "$ref" in part]
        if not groups and "description" in field:
            yield _option(prefix + name, field, parts)
        elif len(groups) == 1:
            yield from _list(groups[0], definitions, f"{prefix}{name}.")
        elif groups:
            yield from _list_variants(groups, definitions, f"{prefix}{name}.")


def _list_variants(groups: Sequence[Json], definitions: Json, prefix: str) -> Iterator[Option]:
    """List the options of groups of which one is chosen by its name."""
    found: dict[str, Option] = {}
    having: dict[str, tuple[str, ...]] = {}
    for group in groups:
        names = _choices(group["properties"]["name"])
        for each in _list(group, definitions, prefix):
            found.setdefault(each.name, each)
            having[each.name] = (*having.get(each.name, ()), *names)

    every = having[f"{prefix}name"]
    for name, each in found.items():
        if name == f"{prefix}name":
            yield replace(each, choices=every, rule=f"one of {', '.join(every)}")
        else:
            yield replace(each, only=() if having[name] == every else having[name])


def _parts(field: Json) -> list[Json]:
    """Take a union apart into its members."""
    members = field.get("anyOf") or field.get("oneOf")
    return [part for member in members for part in _parts(member)] if members else [field]


def _option(name: str, field: Json, parts: list[Json]) -> Option:
    """Read an option off its part of the schema."""
    values = [part.get("items", part) for part in parts if part.get("type") != "null"]
    return Option(
        name=name,
        description=field.get("description", ""),
        rule=_rule(field, parts),
        choices=tuple(choice for value in values for choice in _choices(value)),
        is_text=all(each.get("type") == "string" and not _choices(each) for each in values),
        is_free=any(part.get("type") == "object" for part in parts),
    )


def _choices(part: Json) -> list[Any]:
    return part.get("enum", [part["const"]] if "const" in part else [])


def _rule(field: Json, parts: list[Json]) -> str:
    """Say in words what an option must be."""
    first = parts[0]
    if "rule" in field:
        words = field["rule"]
    elif choices := _choices(first):
        words = "one of " + ", ".join(map(str, choices))
    else:
        words = KINDS.get(first.get("type", ""), "a value") + _bounds(first)
    return f"{words}, or null" if any(part.get("type") == "null" for part in parts) else words


def _bounds(part: Json) -> str:
    """Say between which numbers an option must be."""
    low = part.get("minimum", part.get("exclusiveMinimum"))
    high = part.get("maximum", part.get("exclusiveMaximum"))
    if low is None:
        return "" if high is None else f" of at most {high}"
    if high is None:
        return f" of at least {low}" if "minimum" in part else f" above {low}"
    left, right = "[" if "minimum" in part else "(", "]" if "maximum" in part else ")"
    return f" in {left}{low}, {high}{right}"
