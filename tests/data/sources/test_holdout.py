from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agnet_vision.data.sources.holdout import hold_out as hold_out_of
from agnet_vision.data.sources.listing import Sample
from agnet_vision.errors import ConfigError, DatasetError

LAYOUT = Path("/set")


def make(labels: list[int], groups: list[str | None] | None = None, start: int = 0) -> list[Sample]:
    groups = groups or [None] * len(labels)
    return [
        Sample(LAYOUT / f"{start + i}.jpg", label, group)
        for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def hold_out(
    samples: list[Sample], fraction: float, *, seed: int = 0, part: str = "val"
) -> tuple[list[Sample], list[Sample]]:
    return hold_out_of(samples, fraction, seed=seed, part=part, layout=LAYOUT)


@given(st.lists(st.integers(0, 4), max_size=60), st.floats(0, 0.9), st.integers(0, 5))
def test_every_sample_once_and_in_order(labels: list[int], fraction: float, seed: int) -> None:
    samples = make(labels)
    kept, held = hold_out(samples, fraction, seed=seed)
    assert sorted([*kept, *held], key=samples.index) == samples
    assert kept == [sample for sample in samples if sample in kept]
    assert {sample.label for sample in kept} == set(labels)  # no class disappears from training
    assert hold_out(samples, fraction, seed=seed) == (kept, held)
    if fraction:
        several = {label for label, count in Counter(labels).items() if count > 1}
        assert {sample.label for sample in held} >= several
    else:
        assert held == []


@pytest.mark.parametrize("per_group", [1, 3])
@settings(deadline=None, max_examples=30)
@given(data=st.data(), seed=st.integers(0, 3), fraction=st.sampled_from([0.1, 0.2, 0.4]))
def test_adding_and_removing_moves_no_other(
    per_group: int, data: st.DataObject, seed: int, fraction: float
) -> None:
    groups = [f"g{i // per_group}" if per_group > 1 else None for i in range(200 * per_group)]
    samples = make([i % 2 for i in range(len(groups))], groups)
    some = data.draw(st.sets(st.integers(0, len(samples) - 1), min_size=1, max_size=50))
    fewer = [sample for number, sample in enumerate(samples) if number not in some]
    before, after = (hold_out(part, fraction, seed=seed)[1] for part in (samples, fewer))
    assert after == [sample for sample in before if sample in fewer]


def test_the_place_of_the_folder_does_not_matter() -> None:
    samples = make([0] * 50)
    moved = [sample._replace(path=Path("/elsewhere") / sample.path.name) for sample in samples]
    _, held = hold_out(samples, 0.3)
    _, moved_held = hold_out_of(moved, 0.3, seed=0, part="val", layout=Path("/elsewhere"))
    assert [sample.path.name for sample in held] == [sample.path.name for sample in moved_held]


def test_value_share_of_every_class() -> None:
    _, held = hold_out(make([0] * 4000 + [1] * 2000), 0.1)
    counts = Counter(sample.label for sample in held)
    assert counts[0] == pytest.approx(400, abs=4 * 19)  # four standard deviations
    assert counts[1] == pytest.approx(200, abs=4 * 14)


def test_parts_are_drawn_independently() -> None:
    samples = make([0] * 4000)
    kept, test = hold_out(samples, 0.2, part="test")
    _, val = hold_out(kept, 0.2, part="val")
    assert len(test) == pytest.approx(800, abs=100)
    assert len(val) == pytest.approx(640, abs=100)


def test_groups_whole_and_near_the_fraction() -> None:
    samples = make([i % 3 for i in range(3000)], [f"g{i // 10}" for i in range(3000)])
    kept, held = hold_out(samples, 0.2)
    assert not {s.group for s in kept} & {s.group for s in held}
    assert len(held) == pytest.approx(600, abs=4 * 70)


def test_two_groups() -> None:
    samples = make([0, 1, 0, 1], ["a", "a", "b", "b"])
    kept, held = hold_out(samples, 0.1)
    assert {len(kept), len(held)} == {2}
    assert len({s.group for s in held}) == 1


def test_raises() -> None:
    with pytest.raises(DatasetError, match=r"no group can be held out as val: .*val_fraction=0"):
        hold_out(make([0, 0, 0, 1], ["a", "a", "a", "b"]), 0.5)
    with pytest.raises(ConfigError, match=r"val_fraction must be a number in \[0, 0.99\], got 1.5"):
        hold_out(make([0, 1]), 1.5)
