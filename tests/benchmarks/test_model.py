"""The benchmark runs, measures memory and compares like with like."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from benchmarks import model as benchmark
from benchmarks import model_table


def test_value_peak_memory() -> None:
    """Two MiB at once, then a third replaces the first."""

    def work() -> None:
        first, second = torch.ones(2**18), torch.ones(2**18)
        del first
        third = torch.ones(2**18)
        del second, third

    assert benchmark.peak_memory(work, "cpu") == pytest.approx(2 * 2**20, rel=0.01)


def test_smoke(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    options = (
        "--backbone test_resnet --batch-size 2 --image-size 160 --num-clusters 2 --repeats 1 "
        "--threads 1 --naive"
    )
    benchmark.run(parser.parse_args([*options.split(), "--output", str(tmp_path / "model.json")]))
    report = json.loads((tmp_path / "model.json").read_text())
    for part in ("forward", "training_step"):
        assert set(report[part]) == {"backbone", "agnet", "naive"}
        assert report[part]["backbone"]["ratio"]["median"] == 1
        assert report[part]["agnet"]["working_memory_mib"] > 0


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point is measured, or says why not."""
    monkeypatch.setattr(model_table, "NUM_CLUSTERS", (2, 3))
    monkeypatch.setattr(model_table, "SHAPES", ((1, 160), (2, 160)))
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    arguments = parser.parse_args(["--backbone", "test_resnet", "--threads", "1"])
    points = model_table.fill_table(arguments)
    assert [(p["regions"], p["batch_size"]) for p in points] == [(4, 1), (4, 2), (7, 1), (7, 2)]
    assert all(p["ratio"]["median"] > 0 for p in points)
    monkeypatch.setattr(model_table, "free_memory", lambda device: 2**10)
    assert all("GiB" in p["skipped"] for p in model_table.fill_table(arguments))
