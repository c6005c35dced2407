"""A schema read back: names, rules and choices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from agnet_vision.options.fields import LocalPath, Option, Options, list_options, option


class Circle(Options):
    """One of two shapes."""

    name: Literal["circle"] = option("the shape")
    radius: float = option("of it", gt=0)


class Square(Options):
    """The other."""

    name: Literal["square"] = option("the shape")
    side: float = option("of it", gt=0, le=2)


class Pen(Options):
    """A group."""

    width: int | None = option("in pixels", ge=1)
    color: Literal["red", "blue"] = option("of the line")


class Drawing(Options):
    """A schema with every kind of option."""

    path: LocalPath = option("where it goes")
    shape: Annotated[Circle | Square, Field(discriminator="name")]
    pen: Pen
    extra: dict[str, Any] = option("whatever else", rule="options such as {a: 1}")
    fill: bool = option("inside too")


def found(name: str) -> Option:
    return next(each for each in list_options(Drawing) if each.name == name)


def test_value_names_in_order() -> None:
    names = "path shape.name shape.radius shape.side pen.width pen.color extra fill"
    assert [each.name for each in list_options(Drawing)] == names.split()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("path", "text"),
        ("shape.name", "one of circle, square"),
        ("shape.radius", "a number above 0"),
        ("pen.width", "a whole number of at least 1, or null"),
        ("pen.color", "one of red, blue"),
        ("extra", "options such as {a: 1}"),
        ("fill", "true or false"),
    ],
)
def test_value_rules(name: str, rule: str) -> None:
    assert found(name).rule == rule


def test_value_kinds() -> None:
    assert (found("path").is_text, found("fill").is_text) == (True, False)
    assert found("extra").is_free
    assert found("pen.color").choices == ("red", "blue")
    assert (found("shape.radius").only, found("pen.width").only) == (("circle",), ())


def test_nothing_is_converted_or_changed() -> None:
    with pytest.raises(ValidationError):
        Pen(width="3", color="red")
    with pytest.raises(ValidationError):
        Pen(**{"width": 3, "color": "red", "colour": "red"})
    with pytest.raises(ValidationError):
        Pen(width=3, color="red").width = 4
