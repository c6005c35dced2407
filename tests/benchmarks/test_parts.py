"""The command offers every benchmark there is."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.cli.benchmark import PARTS

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_offers_all() -> None:
    found = {
        path.parent.name if path.name == "__init__.py" else path.stem
        for path in FOLDER.rglob("*.py")
        if "def add_arguments" in path.read_text(encoding="utf-8")
    }
    assert found == set(PARTS)
