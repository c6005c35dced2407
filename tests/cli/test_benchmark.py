"""``agnet benchmark`` runs parts of a checkout, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks
from agnet_vision.cli import benchmark
from agnet_vision.errors import ConfigError


def test_benchmarks_outside_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmark, "CHECKOUT", tmp_path)
    with pytest.raises(ConfigError, match="the benchmarks are not installed with the package"):
        benchmark.run(["regions"])


def test_lists_all_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.run(["--help"])
    text = capsys.readouterr().out
    files = (benchmark.CHECKOUT / "benchmarks").glob("*.py")
    parts = {each.stem for each in files if "def add_arguments" in each.read_text(encoding="utf-8")}
    assert parts == set(benchmarks.PARTS)
    assert all(f"\n  {part} " in text for part in parts)
