"""Parts that are balanced over several labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agnet_vision.data.sources.holdout import hold_out
from agnet_vision.data.sources.listing import Sample
from agnet_vision.task import MultiLabel


def draw(count: int, *, groups: int = 0, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 4)) < [0.9, 0.3, 0.1, 0.02]).astype(int).tolist()
    return [
        Sample(Path(f"{k}.png"), tuple(label), f"g{k % groups}" if groups else None)
        for k, label in enumerate(labels)
    ]


def part(samples: list[Sample], fraction: float, seed: int = 0) -> tuple[np.ndarray, list[Sample]]:
    kept, held = hold_out(
        samples, fraction, seed=seed, part="val", layout=Path(), task=MultiLabel()
    )
    assert sorted([*kept, *held]) == sorted(samples)
    sums = [np.sum([sample.label for sample in each], axis=0) for each in (kept, held)]
    return np.array(sums), held


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_value_each_label_has_its_share(fraction: float, seed: int) -> None:
    samples = draw(1000)
    (kept, held), chosen = part(samples, fraction, seed)
    total = kept + held
    assert np.abs(held - fraction * total).max() <= 1.5
    assert abs(len(chosen) - fraction * len(samples)) <= 2
    assert part(samples[::-1], fraction, seed)[1] == chosen[::-1]  # by name, not by place
    assert part(samples, fraction, seed + 10)[1] != chosen


def test_value_groups_stay_together() -> None:
    (kept, held), chosen = part(draw(1000, groups=100), 0.2)
    groups = {sample.group for sample in chosen}
    assert len(chosen) == 10 * len(groups)
    assert np.abs(held / (kept + held) - 0.2)[:3].max() < 0.05


def test_value_a_rare_label_is_on_both_sides() -> None:
    samples = [Sample(Path(f"{k}.png"), (int(k < 2), int(k == 5))) for k in range(50)]
    (kept, held), _ = part(samples, 0.1)
    assert (kept[0], held[0]) == (1, 1)
    assert (kept[1], held[1]) == (1, 0)  # the only one is kept for training


def test_value_no_label_at_all() -> None:
    samples = [Sample(Path(f"{k}.png"), (0, 0)) for k in range(50)]
    assert len(part(samples, 0.1)[1]) == 5
