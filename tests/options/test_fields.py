"""A schema read back: names, rules and choices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from agnet_vision.options.fields import LocalPath, Option, Options, Place, list_options, option


class Circle(Options):
    """One of two shapes."""

    name: Literal["circle"] = option("circle", "the shape")
    radius: float = option(1.0, "of it", gt=0)


class Square(Options):
    """The other."""

    name: Literal["square"] = option("square", "the shape")
    side: float = option(1.0, "of it", gt=0, le=2)


class Pen(Options):
    """A group."""

    width: int | None = option(3, "in pixels", ge=1)
    color: Literal["red", "blue"] = option("red", "of the line")


class Drawing(Options):
    """A schema with every kind of option."""

    path: LocalPath = option(..., "where it goes")
    shape: Annotated[Circle | Square, Field(discriminator="name")] = Circle()
    pen: Pen = Pen()
    extra: dict[str, Any] = option({}, "whatever else", rule="options such as {a: 1}")
    fill: bool = option(False, "inside too")


def found(name: str) -> Option:
    return next(each for each in list_options(Drawing) if each.name == name)


def test_value_names_in_order() -> None:
    assert [each.name for each in list_options(Drawing)] == [
        "path",
        "shape.name",
        "shape.radius",
        "shape.side",
        "pen.width",
        "pen.color",
        "extra",
        "fill",
    ]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("path", "text"),
        ("shape.name", "one of circle, square"),
        ("shape.radius", "a number above 0"),
        ("pen.width", "a whole number of at least 1, or None"),
        ("pen.color", "one of red, blue"),
        ("extra", "options such as {a: 1}"),
        ("fill", "True or False"),
    ],
)
def test_value_rules(name: str, rule: str) -> None:
    assert found(name).rule == rule


def test_value_kinds() -> None:
    assert (found("path").required, found("path").is_text) == (True, True)
    assert (found("fill").required, found("fill").default) == (False, False)
    assert found("extra").is_free
    assert found("pen.color").choices == ("red", "blue")
    assert (found("shape.radius").only, found("pen.width").only) == (("circle",), ())


def test_nothing_is_converted_or_changed() -> None:
    with pytest.raises(ValidationError):
        Pen(width="3")
    with pytest.raises(ValidationError):
        Pen(**{"wdith": 3})
    with pytest.raises(ValidationError):
        Pen().width = 4


class Places(Options):
    """A path of this machine, and what may be one."""

    local: LocalPath = option("x", "a path")
    place: Place = option("x", "a path or a name")


def test_value_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    given = Places(local="~/a", place="~/b")
    assert (given.local, given.place) == (f"{tmp_path}/a", f"{tmp_path}/b")
    assert Places(local=Path("a"), place=Path("b")).local == f"{tmp_path}/a"
    assert Places(place="owner/name").place == "owner/name"
