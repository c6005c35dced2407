"""Held-out parts that are balanced over several labels at once.

Iterative stratification (Sechidis et al., 2011): the rarest label is shared out first, each unit to
the part that lacks most of it. To be without a label counts as one, too (ours): of labels that
nearly all images have, that is what is rare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def stratify(
    units: Sequence[str],
    labels: Sequence[Sequence[int]],
    numbers: Mapping[str, float],
    fraction: float,
) -> set[str]:
    """Choose the units that are held out, among them one with each label that two units have.

    Args:
        units: unit of each sample, a group or an image.
        labels: labels of each sample.
        numbers: number of each unit in [0, 1), which decides who comes first.
        fraction: share of each label, and of all samples, that is held out.
    """
    names = sorted(numbers, key=lambda unit: (numbers[unit], unit))
    place = {name: row for row, name in enumerate(names)}
    counts = np.zeros((len(names), 1 + max((max(k, default=0) for k in labels), default=0)), int)
    sizes = np.zeros(len(names), int)
    for unit, shown in zip(units, labels, strict=True):
        counts[place[unit], list(shown)] += 1
        sizes[place[unit]] += 1
    counts = np.hstack([counts, sizes[:, None] - counts])

    # What the part that is kept (0) and the one that is held out (1) still lack.
    total = counts.sum(axis=0)
    held_out = np.where((counts > 0).sum(axis=0) > 1, np.maximum(fraction * total, 1), 0)
    lacks = np.stack([total - held_out, held_out])
    room = np.array([1 - fraction, fraction]) * sizes.sum()

    held = np.zeros(len(names), bool)
    free = np.ones(len(names), bool)
    while free.any():
        left = counts[free].sum(axis=0)
        rarest = int(np.where(left > 0, left, np.inf).argmin())
        chosen = np.flatnonzero(free & (counts[:, rarest] > 0 if left.any() else True))
        for row in chosen:
            wish = lacks[:, rarest] if left.any() else room
            part = int(wish.argmax() if wish[0] != wish[1] else room.argmax())
            held[row] = part == 1
            lacks[part] -= counts[row]
            room[part] -= sizes[row]
        free[chosen] = False
    return {name for name, is_held in zip(names, held, strict=True) if is_held}
