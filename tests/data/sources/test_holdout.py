from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnet_vision.data.sources.holdout import hold_out
from agnet_vision.data.sources.listing import Sample
from agnet_vision.errors import DatasetError


def make(labels: list[int], groups: list[str | None] | None = None) -> list[Sample]:
    groups = groups or [None] * len(labels)
    return [
        Sample(Path(str(i)), label, group)
        for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0, 0.9), st.integers(0, 5))
def test_every_sample_once_and_in_order(labels: list[int], fraction: float, seed: int) -> None:
    samples = make(labels)
    kept, held = hold_out(samples, fraction, seed=seed)
    assert sorted([*kept, *held], key=samples.index) == samples
    assert kept == [sample for sample in samples if sample in kept]
    assert {sample.label for sample in kept} == set(labels)  # no class disappears from training
    assert hold_out(samples, fraction, seed=seed) == (kept, held)


def test_value_stratified() -> None:
    _, held = hold_out(make([0] * 40 + [1] * 20), 0.1, seed=0)
    assert Counter(sample.label for sample in held) == {0: 4, 1: 2}


def test_groups_whole_and_near_the_fraction() -> None:
    samples = make([i % 3 for i in range(300)], [f"g{i // 10}" for i in range(300)])
    kept, held = hold_out(samples, 0.2, seed=0)
    assert not {s.group for s in kept} & {s.group for s in held}
    assert 45 <= len(held) <= 75


def test_two_groups() -> None:
    kept, held = hold_out(make([0, 0, 0, 1], ["a", "a", "a", "b"]), 0.1, seed=0)
    assert [s.group for s in held] == ["b"]
    assert len(kept) == 3


def test_raises() -> None:
    with pytest.raises(DatasetError, match="belong to one group"):
        hold_out(make([0, 1], ["a", "a"]), 0.5, seed=0)
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\), got 1"):
        hold_out(make([0]), 1.0, seed=0)


def test_empty() -> None:
    assert hold_out([], 0.5, seed=0) == ([], [])
    assert hold_out(make([0, 1]), 0.0, seed=0) == (make([0, 1]), [])
