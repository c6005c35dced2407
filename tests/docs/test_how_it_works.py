"""docs/how_it_works.md: every step leads to the code that computes it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from agnet_vision.models import reference

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/how_it_works.md").read_text(encoding="utf-8")
PLACES = re.findall(r"`([\w/]+\.py)`: `([\w.]+)`", TEXT)


def names_in(path: Path) -> set[str]:
    """List functions, classes and methods."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
    return found


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_a_step_is_where_the_page_says(file: str, name: str) -> None:
    assert name in names_in(ROOT / "agnet_vision" / file)


def test_every_function_of_the_definition_is_shown() -> None:
    shown = set(re.findall(r"^:pyobject: (\w+)$", TEXT, flags=re.MULTILINE))
    defined = {name for name in names_in(Path(reference.__file__)) if not name.startswith("_")}
    assert shown == defined
