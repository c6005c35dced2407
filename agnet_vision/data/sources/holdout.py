"""Carve a part out of a split: seeded, stratified by class, and never through the middle of a group."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from agnet_vision.data.sources.listing import Sample
from agnet_vision.errors import DatasetError


def hold_out(
    samples: list[Sample], fraction: float, *, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into (kept, held out), both in their old order.

    Where every sample has a group, whole groups are held out, chosen so that the held-out part comes close to ``fraction``
    of every class. Otherwise each class gives ``fraction`` of its images, at least one where it has two.

    Args:
        samples: in a deterministic order; together with ``seed`` it decides the result.
        fraction: held out, in [0, 1).
        seed: another seed, another part.

    Raises:
        DatasetError: all samples belong to one group.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction must be in [0, 1), got {fraction}")
    if fraction == 0 or not samples:
        return list(samples), []
    generator = np.random.default_rng(seed)
    if all(sample.group is not None for sample in samples):
        chosen = _choose_groups(samples, fraction, generator)
    else:
        chosen = _choose_per_class(samples, fraction, generator)
    held = [sample for i, sample in enumerate(samples) if i in chosen]
    return [sample for i, sample in enumerate(samples) if i not in chosen], held


def _choose_per_class(
    samples: list[Sample], fraction: float, generator: np.random.Generator
) -> set[int]:
    """Choose indices at random, the same share of every class."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        by_class[sample.label].append(i)
    chosen: set[int] = set()
    for label in sorted(by_class):
        indices = by_class[label]
        count = min(max(round(fraction * len(indices)), 1), len(indices) - 1)
        chosen.update(int(i) for i in generator.permutation(indices)[:count])
    return chosen


def _choose_groups(
    samples: list[Sample], fraction: float, generator: np.random.Generator
) -> set[int]:
    """Choose whole groups: in random order, each one that brings the class counts closer to their share."""
    labels = sorted({sample.label for sample in samples})
    column = {label: i for i, label in enumerate(labels)}
    by_group: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        by_group[str(sample.group)].append(i)
    if len(by_group) < 2:
        raise DatasetError(
            f"all images belong to one group ({next(iter(by_group))}), nothing can be held out by group"
        )
    counts = {group: np.zeros(len(labels)) for group in by_group}
    for sample in samples:
        counts[str(sample.group)][column[sample.label]] += 1
    wanted = fraction * sum(counts.values())
    order = [sorted(by_group)[i] for i in generator.permutation(len(by_group))]
    held, names = np.zeros(len(labels)), list[str]()
    for group in order[:-1]:  # one group at least is kept
        if np.abs(held + counts[group] - wanted).sum() < np.abs(held - wanted).sum():
            held, names = held + counts[group], [*names, group]
    if not names:  # every group is larger than the share: take the smallest
        names = [min(order, key=lambda group: (len(by_group[group]), group))]
    return {i for group in names for i in by_group[group]}
