"""How ideas of guided training are compared."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.listing import Sample
from benchmarks import ideas


def test_keeps_the_first_of_each_class() -> None:
    samples = [Sample(Path(f"{number}.png"), number % 2) for number in range(4)]
    assert ideas.first_of_class(samples, 1) == samples[:2]
    assert ideas.first_of_class(samples, None) == samples
