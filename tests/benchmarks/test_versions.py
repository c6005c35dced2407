"""Before and after: a checkout against itself."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import versions


@pytest.mark.slow
def test_value_against_itself() -> None:
    parser = argparse.ArgumentParser()
    versions.add_arguments(parser)
    root = str(Path(__file__).parents[2])
    options = f"{root} {root} --backbone test_resnet --batch-size 2 --repeats 2"
    report = versions.run(parser.parse_args(options.split()))
    first, second = report["sum_of_logits"]
    assert first == second
    assert 0.2 < report["forward"]["ratio"]["median"] < 5
    assert 0.2 < report["training_step"]["ratio"]["median"] < 5
