"""The throughput table has plain timm beside each backbone."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import throughput


def test_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    throughput.add_arguments(parser)
    options = "--backbones test_resnet --batch-size 2 --image-size 160 --num-clusters 2 --repeats 1"
    throughput.run(parser.parse_args([*options.split(), "--output", str(tmp_path / "out.json")]))
    row = json.loads((tmp_path / "out.json").read_text())["rows"]["test_resnet"]
    assert row["agnet"]["parameters"] > row["backbone"]["parameters"]
    for part in ("forward", "training_step"):
        for name in ("agnet", "narrow"):
            assert row[name][part]["times_the_backbone"]["median"] > 0
        for name in ("backbone", "agnet", "narrow"):
            assert row[name][part]["images_a_second"]["median"] > 0
            assert row[name][part]["working_memory_mib"] > 0
    assert "test_resnet" in capsys.readouterr().out
