"""What a schema of options is made of: a typed field each.

A schema is a subclass of ``Options``; its groups are fields that are ``Options`` themselves. Types,
bounds and defaults stand here once: ``validation`` refuses what they do not allow, and help and
reference page list them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.fields import FieldInfo

KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


class Options(BaseModel):
    """A group of options: nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def option(default: Any, description: str, *, rule: str | None = None, **bounds: Any) -> Any:
    """Declare an option of a schema.

    Args:
        default: its value where none is given; ``...``: one must be given.
        description: what it does, in a line.
        rule: what it must be, in words, where its type and bounds do not say it well.
        **bounds: ``ge``, ``gt``, ``le``, ``lt`` or ``min_length``.
    """
    extra: dict[str, JsonValue] | None = {"rule": rule} if rule else None
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


Text = Annotated[str, Field(min_length=1)]
# A file or folder: ``~`` is the user's home, and what is stored is right from any other folder.
LocalPath = Annotated[Text, BeforeValidator(_as_text), AfterValidator(_absolute)]
# A file or folder, or something that is none: owner/name on the Hub, a pattern of files.
Place = Annotated[Text, BeforeValidator(_as_text), AfterValidator(os.path.expanduser)]
# What every random generator in here takes.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


@dataclass(frozen=True)
class Option:
    """An option of a schema, as help, reference page and command line need it.

    Attributes:
        name: in full, such as ``optimizer.lr``.
        default: None where it has none, see ``required``.
        description: a line of text.
        rule: what it must be, in words.
        choices: the values it may have; empty where they are not a list.
        is_text: any text is a value, as of a path.
        is_list: several values may be given.
        is_free: a mapping whose entries are handed on as they are.
        required: it has no default.
        only: which choices of its group have this option; empty: all.
    """

    name: str
    default: Any
    description: str
    rule: str
    choices: tuple[Any, ...]
    is_text: bool
    is_list: bool
    is_free: bool
    required: bool
    only: tuple[str, ...] = ()


def list_options(schema: type[Options], prefix: str = "") -> Iterator[Option]:
    """List the options of a schema in order, those of its groups by their full names."""
    for name, field in schema.model_fields.items():
        groups = groups_of(field)
        if not groups:
            yield option_of(prefix + name, field)
        elif len(groups) == 1:
            yield from list_options(groups[0], f"{prefix}{name}.")
        else:
            yield from _list_variants(groups, f"{prefix}{name}.")


def _list_variants(groups: Sequence[type[Options]], prefix: str) -> Iterator[Option]:
    """List the options of groups of which one is chosen by its name."""
    found: dict[str, Option] = {}
    having: dict[str, list[str]] = {}
    for group in groups:
        for each in list_options(group, prefix):
            found.setdefault(each.name, each)
            having.setdefault(each.name, []).append(tag_of(group))

    for name, each in found.items():
        tags = tuple(having[name])
        if name == f"{prefix}name":
            yield replace(each, choices=tags, rule=f"one of {', '.join(tags)}")
        else:
            yield replace(each, only=tags if len(tags) < len(groups) else ())


def option_of(name: str, field: FieldInfo) -> Option:
    """Read an option off its field."""
    parts = members(field.annotation)
    lists = [part for part in parts if get_origin(part) in (tuple, list)]
    items = [item for part in lists for item in members(get_args(part)[0])]
    kinds = {part for part in [*parts, *items] if part is not NoneType and part not in lists}
    literals = [part for part in [*parts, *items] if get_origin(part) is Literal]
    return Option(
        name=name,
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        description=field.description or "",
        rule=rule_of(field),
        choices=tuple(choice for part in literals for choice in get_args(part)),
        is_text=kinds == {str},
        is_list=bool(lists),
        is_free=any(get_origin(part) is dict for part in parts),
        required=field.is_required(),
    )


def groups_of(field: FieldInfo) -> list[type[Options]]:
    """Return the schemas that a field may be of; none where it is a single option."""
    parts = members(field.annotation)
    return [part for part in parts if isinstance(part, type) and issubclass(part, Options)]


def tag_of(group: type[Options]) -> str:
    """Return the name by which a group is chosen among several."""
    return str(group.model_fields["name"].default)


def members(annotation: Any) -> list[Any]:
    """Take a union apart into its members, without what they are annotated with."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for member in get_args(annotation) for part in members(member)]
    return [annotation]


def rule_of(field: FieldInfo) -> str:
    """Say in words what an option must be."""
    parts = members(field.annotation)
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "rule" in extra:
        words = str(extra["rule"])
    elif get_origin(parts[0]) is Literal:
        words = "one of " + ", ".join(str(choice) for choice in get_args(parts[0]))
    else:
        words = KINDS.get(parts[0], "a value") + _bounds(field)
    return f"{words}, or None" if NoneType in parts else words


def _bounds(field: FieldInfo) -> str:
    """Say between which numbers an option must be."""
    bounds = [bound for bound in _metadata(field) if isinstance(bound, Ge | Gt | Le | Lt)]
    values = {type(bound): getattr(bound, type(bound).__name__.lower()) for bound in bounds}
    low, high = values.get(Ge, values.get(Gt)), values.get(Le, values.get(Lt))
    if low is None:
        return "" if high is None else f" of at most {high}"
    if high is None:
        return f" of at least {low}" if Ge in values else f" above {low}"
    return f" in {'[' if Ge in values else '('}{low}, {high}{']' if Le in values else ')'}"


def _metadata(field: FieldInfo) -> list[Any]:
    """Collect the bounds of a field, those inside ``Annotated[...] | None`` included."""
    inner = [
        part
        for member in get_args(field.annotation)
        if get_origin(member) is Annotated
        for part in get_args(member)[1:]
    ]
    nested = [bound for part in inner if isinstance(part, FieldInfo) for bound in part.metadata]
    return [*field.metadata, *nested]
