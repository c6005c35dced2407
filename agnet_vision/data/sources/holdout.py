"""The part of a split that is held out, chosen by the names of images and groups.

A *unit* is a group, or an image that has none. The number that a hash makes of the seed, the part's
name and the unit's name lies in [0, 1); a unit is held out where it is below ``fraction``. So the
share is met on average, class by class: of 100 images at 0.1 some 10, give or take 3. What is
gained: **adding or removing images moves no other image**, because no image asks about the others.

Small classes are the only exception, since each must be on both sides. A class with nothing left
for training takes its unit of the highest number back; a class of two or more units with nothing
held out gives its unit of the lowest. Runs therefore store their split lists and go on with those.

Where images have several labels, units are shared out by iterative stratification instead
(``stratify``), which asks for the number of all images with a label.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from pathlib import Path

from agnet_vision.bounds import BOUNDS
from agnet_vision.data.sources.listing import Sample, image_name
from agnet_vision.data.sources.stratify import stratify
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.task import SINGLE_LABEL, Task


def hold_out(
    samples: list[Sample],
    fraction: float,
    *,
    seed: int,
    part: str,
    layout: Path,
    task: Task = SINGLE_LABEL,
) -> tuple[list[Sample], list[Sample]]:
    """Split samples into those kept and those held out, both in their order.

    Args:
        samples: samples of one split.
        fraction: share of each class that is held out, on average.
        seed: seed of the choice.
        part: name of the held-out part ("val", "test"); another name gives another part.
        layout: folder to which the names of images are relative.
        task: what the labels mean.

    Raises:
        ConfigError: ``fraction`` is out of bounds.
        DatasetError: there are groups, but none can be held out.
    """
    if not (bound := BOUNDS[f"{part}_fraction"]).holds(fraction):
        raise ConfigError(f"{part}_fraction must be {bound}, got {fraction}")
    if fraction == 0 or not samples:
        return list(samples), []

    units = [_unit(sample, layout) for sample in samples]
    numbers = {unit: _number(f"{seed}\0{part}\0{unit}") for unit in units}
    shown = [task.numbers(sample.label) for sample in samples]
    if task.stratifies:
        held = stratify(units, shown, numbers, fraction)
    else:
        members: dict[int, set[str]] = defaultdict(set)
        for unit, classes in zip(units, shown, strict=True):
            members[classes[0]].add(unit)
        held = _choose(members, numbers, fraction)
    if not held and any(sample.group is not None for sample in samples):
        raise DatasetError(
            f"no group can be held out as {part}: each is all that a class has; "
            f"give more groups, or {part}_fraction=0"
        )

    kept_samples = [s for s, unit in zip(samples, units, strict=True) if unit not in held]
    held_samples = [s for s, unit in zip(samples, units, strict=True) if unit in held]
    return kept_samples, held_samples


def _unit(sample: Sample, layout: Path) -> str:
    """Name the unit that is held out as a whole: the group, or the image."""
    if sample.group is not None:
        return f"group {sample.group}"
    return f"image {image_name(sample.path, layout)}"


def _number(text: str) -> float:
    """Map a text to a number that is spread evenly over [0, 1)."""
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _choose(members: dict[int, set[str]], numbers: dict[str, float], fraction: float) -> set[str]:
    """Choose the units below ``fraction``, with each class on both sides."""
    held = {unit for unit, number in numbers.items() if number < fraction}
    ranked = [sorted(members[label], key=numbers.__getitem__) for label in sorted(members)]

    for units in ranked:
        if held.issuperset(units):
            held.remove(units[-1])

    for units in ranked:
        if held.isdisjoint(units):
            for unit in units:
                others = [members[label] for label in members if unit in members[label]]
                if all(len(of_class - held) > 1 for of_class in others):
                    held.add(unit)
                    break
    return held
