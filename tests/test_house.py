"""The house's rules on imports: which room may know which, and nothing in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "agnet_vision"
# A room may import from itself, from the root's modules, and from these rooms.
MAY_IMPORT = {
    "regions": set[str](),
    "models": {"regions"},
    "export": {"regions", "models"},
    "data": {"regions"},
    "predict": {"regions", "models", "data"},
    "explain": {"regions", "models", "data", "predict"},
    "evaluation": {"regions", "models", "data", "predict", "explain"},
    "options": {"regions", "models", "data"},
    "training": {"regions", "models", "data", "predict", "explain", "evaluation", "options"},
}
MAY_IMPORT["studies"] = {*MAY_IMPORT["training"], "training", "export"}
MAY_IMPORT["demo"] = {*MAY_IMPORT["training"], "training"}
MAY_IMPORT["cli"] = {*MAY_IMPORT["studies"], "studies", "demo"}
ROOT = {"bounds", "choices", "structures", "errors", "files", "task"}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str) -> Iterator[str]:
    """List the modules that a module ever imports, inside functions and for types, too."""
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


def room_of(name: str) -> str:
    return [*name.split("."), ""][1]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_downwards_only(room: str) -> None:
    allowed = {room, *MAY_IMPORT[room], *ROOT}
    # The package's own name stands for its public names, which the whole house is behind.
    wrong = [
        f"{name} imports {other}"
        for name in FILES
        if room_of(name) == room
        for other in imports_of(name)
        if other.startswith("agnet_vision") and room_of(other) not in allowed
    ]
    assert not wrong


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(name) for name in FILES if FILES[name].parent != PACKAGE}
    assert rooms == set(MAY_IMPORT)
    assert {room_of(name) for name in FILES if FILES[name].parent == PACKAGE} == {"", *ROOT}


def test_the_guide_shows_every_room() -> None:
    guide = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"| `{room}/` |" in guide for room in MAY_IMPORT)


def test_the_root_imports_no_room() -> None:
    inner = {f"agnet_vision.{name}" for name in ROOT}
    for name in inner:
        assert {o for o in imports_of(name) if o.startswith("agnet_vision")} <= inner


def test_no_circles() -> None:
    """No two files need each other, neither inside functions nor for types."""
    graph = {name: [other for other in imports_of(name) if other in FILES] for name in FILES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle
    assert set(order) == set(FILES)


def test_only_the_network_knows_the_proposer() -> None:
    users = [
        name
        for name in FILES
        if room_of(name) == "models" and "agnet_vision.regions.proposer" in imports_of(name)
    ]
    assert users == ["agnet_vision.models.agnet"]


def test_who_knows_hydra() -> None:
    for name in FILES:
        found = {other.split(".")[0] for other in imports_of(name)} & {"hydra", "omegaconf"}
        assert not found or room_of(name) == "cli" or name == "agnet_vision.options.compose", name
