"""The benchmark of the network: it runs, its memory figure is right, and it compares like with like."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from agnet_vision.benchmark import model as benchmark


def test_value_peak_memory() -> None:
    """Two tensors of a MiB held at once, then a third in the place of the first."""

    def work() -> None:
        first, second = torch.ones(2**18), torch.ones(2**18)
        del first
        third = torch.ones(2**18)
        del second, third

    assert benchmark.peak_memory(work, "cpu") == pytest.approx(2 * 2**20, rel=0.01)


def test_smoke(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    options = "--backbone test_resnet --batch-size 2 --image-size 160 --num-clusters 2 --repeats 1 --threads 1 --naive"
    benchmark.run(parser.parse_args([*options.split(), "--output", str(tmp_path / "model.json")]))
    report = json.loads((tmp_path / "model.json").read_text())
    for part in ("forward", "training_step"):
        assert set(report[part]) == {"backbone", "agnet", "naive"}
        assert report[part]["backbone"]["ratio"]["median"] == 1
        assert report[part]["agnet"]["working_memory_mib"] > 0
