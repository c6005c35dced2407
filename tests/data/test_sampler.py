from __future__ import annotations

from collections import Counter

import pytest
import torch

from agnet_vision.data.sampler import EpochLoader, EpochSampler, SampleRequest

LABELS = [0] * 9 + [1] * 3


@pytest.mark.parametrize("order", ["shuffle", "balanced", "sequential"])
def test_sampler_is_a_function_of_seed_and_epoch(order: str) -> None:
    first, second = EpochSampler(LABELS, order, seed=3), EpochSampler(LABELS, order, seed=3)
    first.set_epoch(2)
    second.set_epoch(2)
    assert list(first) == list(second)
    second.set_epoch(3)
    assert (list(first) == list(second)) is (order == "sequential")


def test_balanced_draws_classes_equally_often() -> None:
    sampler, counts = EpochSampler(LABELS, "balanced"), Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        counts.update(LABELS[draw.sample] for draw in sampler)
    assert counts[0] / counts.total() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_shares_of_the_processes(world_size: int) -> None:
    """Training takes no sample twice and as many on each process; evaluation counts each once."""
    shares = {
        order: [
            list(EpochSampler(LABELS, order, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        for order in ("shuffle", "sequential")
    }
    assert {len(share) for share in shares["shuffle"]} == {12 // world_size}
    assert len({len(share) for share in shares["sequential"]}) == 1
    trained = [draw.sample for share in shares["shuffle"] for draw in share]
    assert len(set(trained)) == len(trained)
    counted = [draw.sample for share in shares["sequential"] for draw in share if draw.counted]
    assert sorted(counted) == list(range(12))


def test_repeated_samples_differ_in_their_place_over_all_processes() -> None:
    draws = [
        draw
        for rank in range(3)
        for draw in EpochSampler(LABELS, "balanced", rank=rank, world_size=3)
    ]
    assert len({draw.sample for draw in draws}) < 12
    assert sorted(draw.place for draw in draws) == list(range(12))
    assert {draw.place for draw in EpochSampler(LABELS)} == {0}


def loader(batch_size: int = 4, drop_last: bool = False, **options: int) -> EpochLoader:
    sampler = EpochSampler(LABELS, seed=1, **options)
    return EpochLoader(
        Indices(), batch_size=batch_size, sampler=sampler, collate_fn=list, drop_last=drop_last
    )


def test_loader_goes_on_in_mid_epoch() -> None:
    first, second = loader(), loader()
    first.sampler.set_epoch(5)
    batches = iter(first)
    next(batches)
    state, rest = first.state_dict(), list(batches)
    assert state == {"epoch": 5, "samples": 4}
    second.load_state_dict(state)
    passing = iter(second)  # Lightning sets the epoch only after this
    second.sampler.set_epoch(5)
    assert list(passing) == rest
    second.sampler.set_epoch(6)
    assert len(list(second)) == 3


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [2, 3, 5, 8])
def test_another_batch_size_skips_no_sample(batch_size: int, drop_last: bool) -> None:
    first, second = loader(4), loader(batch_size, drop_last)
    batches = iter(first)
    seen = next(batches)
    second.load_state_dict(first.state_dict())
    done = second.batches_done(0)
    rest = list(second)
    assert done + len(rest) == len(second)
    drawn = [*seen, *(sample for batch in rest for sample in batch)]
    order = [draw.sample for draw in EpochSampler(LABELS, seed=1)]
    assert drawn == order[: len(drawn)]
    assert len(drawn) == 12 or drop_last
    assert second.batches_done(1) == 0


def test_another_number_of_processes_skips_no_sample() -> None:
    one = loader(4)
    next(iter(one))
    shares = [loader(2, rank=rank, world_size=2) for rank in range(2)]
    for share in shares:
        share.load_state_dict(one.state_dict())
    rest = {sample for share in shares for batch in share for sample in batch}
    order = [draw.sample for draw in EpochSampler(LABELS, seed=1)]
    assert rest == set(order[4:])


class Indices(torch.utils.data.Dataset):
    def __getitem__(self, draw: SampleRequest) -> int:
        return draw.sample

    def __len__(self) -> int:
        return len(LABELS)
