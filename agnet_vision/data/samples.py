"""``read_samples``: any of the datasets, or any folder, -> the labelled files of its train, val and test split."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agnet_vision.data.card import Card, default_root, load_card
from agnet_vision.data.holdout import hold_out
from agnet_vision.data.layouts.folder import read_csv, read_folder
from agnet_vision.data.layouts.stanford40 import read_stanford40
from agnet_vision.data.listing import Listing, Problem, ProblemKind, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

__all__ = ["DatasetWarning", "Sample", "SampleTable", "read_listing", "read_samples"]

# With these the labels would be wrong or a class could not be learnt; everything else is a warning.
FATAL: frozenset[ProblemKind] = frozenset({"empty_class", "extra_class", "case_duplicate", "wrong_list", "overlap"})


class DatasetWarning(UserWarning):
    """A dataset is not what its card says, but can be used; the message says how to look closer."""


@dataclass
class SampleTable:
    """The labelled files of a dataset.

    Attributes:
        name: of the dataset.
        root: where it lies.
        classes: names in label order.
        splits: "train", "val" and "test"; val is held out of train where the layout has none. A split may be empty.
        problems: what is wrong with the files, none of it fatal.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    problems: list[Problem] = field(default_factory=list)


def read_samples(
    name: str, root: Path | str | None = None, *, val_fraction: float = 0.1, seed: int = 0, **options: Any
) -> SampleTable:
    """Read a dataset's labelled files; no image is opened.

    Args:
        name: demo, folder, aucd_v1, aucd_v2, stanford40, ppmi, food101 or caltech256.
        root: where the data lies; None: ``datasets/<name>/data``.
        val_fraction: part of train held out as val where the layout has no val split (ours; the papers have none).
        seed: of that choice, and of the test split of a plain folder.
        **options: of the dataset (``clean`` of aucd_v2, ``csv`` of folder, ...); one it does not have is an error.

    Raises:
        DatasetNotFoundError: nothing there; says where to get it.
        DatasetError: there, but unusable.
        ConfigError: an unknown dataset or option.
    """
    if not 0 <= val_fraction < 1:
        raise ConfigError(f"dataset.val_fraction must be in [0, 1), got {val_fraction}")
    test_fraction = options.pop("test_fraction", 0.2) if name == "folder" else 0.0
    listing = read_listing(name, root, **options)
    root = Path(root) if root is not None else default_root(name)
    splits = {split: list(samples) for split, samples in listing.splits.items()}
    if "test" not in splits and test_fraction:
        splits["train"], splits["test"] = hold_out(splits["train"], test_fraction, seed=seed)
    if "val" not in splits:
        splits["train"], splits["val"] = hold_out(splits["train"], val_fraction, seed=seed)
    splits = {split: splits.get(split, []) for split in ("train", "val", "test")}
    _refuse_or_warn(name, root, listing, splits)
    return SampleTable(name, root, listing.classes, splits, listing.problems)


def read_listing(name: str, root: Path | str | None = None, **options: Any) -> Listing:
    """Read a layout as it is on disk: the official splits, and every problem its names and lists show.

    Raises:
        DatasetNotFoundError: the root, or what the layout cannot do without, is missing.
        ConfigError: an unknown dataset or option.
    """
    card = load_card(name)
    root = Path(root) if root is not None else default_root(name)
    reader, accepted = _reader(card, root, options)
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        takes = f"its options are {', '.join(accepted)}" if accepted else "it has no options of its own"
        raise ConfigError(f"dataset={name} does not take {', '.join(unknown)}; {takes}")
    _check_root(card, root)
    return reader()


def _reader(card: Card, root: Path, options: dict[str, Any]) -> tuple[Callable[[], Listing], Sequence[str]]:
    """Choose the reader of a layout, and name the options it takes."""
    match card.name:
        case "folder" | "demo" if options.get("csv") is not None and card.name == "folder":
            given = {key: value for key, value in options.items() if key != "csv"}
            return lambda: read_csv(root, Path(options["csv"]), **given), ("csv", "group_column", "group_regex")
        case "folder":
            given = {key: value for key, value in options.items() if key != "csv"}
            return lambda: read_folder(root, **given), ("csv", "group_regex")
        case "stanford40":
            return lambda: read_stanford40(root, card.classes), ()
        case _:
            raise ConfigError(f"dataset={card.name} has no reader")


def _check_root(card: Card, root: Path) -> None:
    """Say what is missing, where to get it, and how to check it."""
    missing = [root, *(root / need for need in card.needs)]
    missing = [path for path in missing if not path.exists()]
    if missing:
        raise DatasetNotFoundError(
            f"{card.title}: {missing[0]} does not exist.\n  {card.how_to_get}\n"
            f"  Put it there, or say where it lies with dataset.root=...; "
            f"python tools/prepare_dataset.py dataset={card.name} dataset.root={root} checks it."
        )


def _refuse_or_warn(name: str, root: Path, listing: Listing, splits: dict[str, list[Sample]]) -> None:
    """Raise for problems that would spoil the labels, warn once for the others."""
    if not splits["train"]:
        raise DatasetError(f"dataset={name}: no training image in {root}; a folder per class with images is expected")
    check = f"python tools/prepare_dataset.py dataset={name} dataset.root={root} report=problems.json lists all"
    fatal = [problem for problem in listing.problems if problem.kind in FATAL]
    if fatal:
        raise DatasetError(f"dataset={name} cannot be used: {_first(fatal)}\n  {check}")
    if listing.problems:
        warnings.warn(f"dataset={name}: {_first(listing.problems)}\n  {check}", DatasetWarning, stacklevel=3)


def _first(problems: list[Problem], number: int = 3) -> str:
    """Show the first problems, and count the rest."""
    lines = [str(problem) for problem in problems[:number]]
    more = len(problems) - number
    return "\n  ".join([*lines, *([f"and {more} more"] if more > 0 else [])])
