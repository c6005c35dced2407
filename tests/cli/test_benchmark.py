"""``agnet benchmark`` runs parts of a checkout, and only there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agnet_vision.cli import benchmark
from agnet_vision.cli import main as program


def test_benchmarks_outside_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["agnet", "benchmark", "regions"])
    monkeypatch.setattr("agnet_vision.cli.benchmark.CHECKOUT", tmp_path)
    with pytest.raises(SystemExit, match="the benchmarks are not installed with the package"):
        program.main()
    monkeypatch.setattr(sys, "argv", ["agnet", "benchmark", "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        program.main()


def test_lists_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.run(["--help"], "agnet benchmark")
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n  {part} " in text for part in benchmark.PARTS)


def test_offers_all() -> None:
    folder = benchmark.CHECKOUT / "benchmarks"
    found = {
        path.parent.name if path.name == "__init__.py" else path.stem
        for path in folder.rglob("*.py")
        if "def add_arguments" in path.read_text(encoding="utf-8")
    }
    assert found == set(benchmark.PARTS)
