"""Which sample comes when: a function of seed and epoch alone, so that a run can go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int
from torch.utils.data import DataLoader, Sampler

Order = Literal["shuffle", "balanced", "sequential"]


class SampleRequest(NamedTuple):
    """One sample to be loaded in one epoch.

    Attributes:
        epoch: part of the augmentation's seed, 0 in evaluation; it travels along because workers
            outlive it.
        sample: number of the sample.
        counted: False for a copy that only fills up a batch; metrics leave it out.
        place: place in the epoch where a sample may come several times, else 0; part of the
            augmentation's seed.
    """

    epoch: int
    sample: int
    counted: bool = True
    place: int = 0


class EpochSampler(Sampler[SampleRequest]):
    """Requests of one epoch for one of several processes.

    In training every process gets the same number of different samples; what is left over, fewer
    than ``world_size``, differs from epoch to epoch. In evaluation none is left out: the last
    processes fill up with copies marked as not counted.

    Args:
        labels: label of every sample.
        order: ``"shuffle"``; ``"balanced"``: with replacement, each class equally often;
            ``"sequential"``: evaluation.
    """

    def __init__(
        self,
        labels: Sequence[int],
        order: Order = "shuffle",
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.labels = np.asarray(labels, dtype=np.int64)
        self.order = order
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of this process's requests in a whole epoch."""
        left_over = self.world_size - 1 if self.order == "sequential" else 0
        return (len(self.labels) + left_over) // self.world_size

    def __iter__(self) -> Iterator[SampleRequest]:
        """Yield this process's requests, from number ``start`` on."""
        indices = self._indices()
        epoch = 0 if self.order == "sequential" else self.epoch
        for position in range(self.start, len(self)):
            place = position * self.world_size + self.rank
            counted = place < len(indices)
            sample = int(indices[place if counted else 0])
            draw = place if self.order == "balanced" else 0
            yield SampleRequest(epoch, sample, counted, draw)

    def _indices(self) -> Int[np.ndarray, " samples"]:
        count = len(self.labels)
        generator = np.random.default_rng([self.seed, self.epoch])
        match self.order:
            case "shuffle":
                return generator.permutation(count)
            case "balanced":
                weight = 1 / np.bincount(self.labels)[self.labels]
                return generator.choice(count, size=count, p=weight / weight.sum())
            case "sequential":
                return np.arange(count)


class EpochLoader(DataLoader):
    """A ``DataLoader`` over an ``EpochSampler`` that can go on in the middle of an epoch.

    Its ``state_dict`` counts samples, not batches: a run may go on with another batch size or
    number of processes.
    """

    sampler: EpochSampler
    _position = 0
    _resume = (-1, 0)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the sampler's epoch.

        The first pass after ``load_state_dict`` leaves out the samples already seen. The work
        starts with the first batch, not with ``iter()``: Lightning sets the sampler's epoch between
        the two.
        """
        self._position = self._start_of(self.sampler.epoch)
        self._resume = (-1, 0)
        self.sampler.start = self._position
        for batch in super().__iter__():
            self._position = min(self._position + (self.batch_size or 1), len(self.sampler))
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position, in samples of all processes together."""
        samples = self._position * self.sampler.world_size
        return {"epoch": self.sampler.epoch, "samples": samples}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next pass at this position if it is of the same epoch."""
        self._resume = (state["epoch"], state["samples"])

    def batches_done(self, epoch: int) -> int:
        """Count the batches that a pass of ``epoch`` leaves out."""
        left = len(self.sampler) - self._start_of(epoch)
        batch_size = self.batch_size or 1
        return len(self) - (left // batch_size if self.drop_last else -(-left // batch_size))

    def _start_of(self, epoch: int) -> int:
        """Return the number of the request with which a pass begins."""
        resumed_epoch, samples = self._resume
        return samples // self.sampler.world_size if epoch == resumed_epoch else 0
