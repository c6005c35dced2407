"""Which sample comes when: a function of seed and epoch alone, so that a run can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from torch.utils.data import DataLoader, Sampler

Order = Literal["shuffle", "balanced", "sequential"]
ORDERS: tuple[str, ...] = ("shuffle", "balanced", "sequential")


class Draw(NamedTuple):
    """One order to the dataset; the epoch travels along because workers outlive it.

    Attributes:
        epoch: seeds the augmentation together with ``sample``.
        sample: its number.
        counted: False for a copy that only fills up a batch; metrics leave it out.
    """

    epoch: int
    sample: int
    counted: bool = True


class EpochSampler(Sampler[Draw]):
    """Draws of one epoch for one process of a distributed run.

    In training every process gets the same number of different samples (fewer than ``world_size`` are left out an epoch, other
    ones each time). In evaluation none is left out: the last processes fill up with copies marked as not counted.

    Args:
        labels: of all samples.
        order: ``"shuffle"``; ``"balanced"``: with replacement, each class equally often; ``"sequential"``: evaluation.
        seed: of the order.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: an unknown order.
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
        if order not in ORDERS:
            raise ValueError(f"sampler must be one of {', '.join(ORDERS)}, got {order!r}")
        self.labels, self.order, self.seed = np.asarray(labels, dtype=np.int64), order, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.start = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        count = len(self.labels)
        return (
            -(-count // self.world_size) if self.order == "sequential" else count // self.world_size
        )

    def __iter__(self) -> Iterator[Draw]:
        """Yield this process's draws, from number ``start`` on."""
        for position in range(self.start, len(self)):
            place = position * self.world_size + self.rank
            if position == self.start:
                indices = self._indices()
            counted = place < len(indices)
            yield Draw(self.epoch, int(indices[place if counted else 0]), counted)

    def _indices(self) -> np.ndarray:
        count = len(self.labels)
        generator = np.random.default_rng([self.seed, self.epoch])
        match self.order:
            case "shuffle":
                return generator.permutation(count)
            case "balanced":
                weight = 1 / np.bincount(self.labels)[self.labels]
                return generator.choice(count, size=count, p=weight / weight.sum())
            case _:
                return np.arange(count)


class EpochLoader(DataLoader):
    """A ``DataLoader`` over an ``EpochSampler`` that can go on in mid-epoch; ``LastCheckpoint`` keeps its ``state_dict``."""

    sampler: EpochSampler
    _served, _resume = 0, (-1, 0)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of the sampler's epoch; the first pass after ``load_state_dict`` leaves out those already seen.

        The work starts with the first batch, not with ``iter()``: Lightning sets the sampler's epoch between the two.
        """
        epoch, batches = self._resume
        self._served = batches if epoch == self.sampler.epoch else 0
        self._resume = (-1, 0)
        self.sampler.start = self._served * (self.batch_size or 1)
        for batch in super().__iter__():
            self._served += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where in which epoch the loader is."""
        return {"epoch": self.sampler.epoch, "batches": self._served}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on there with the next pass, if it is through the same epoch."""
        self._resume = (state["epoch"], state["batches"])
