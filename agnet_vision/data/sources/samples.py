"""``read_samples``: any of the datasets, or any folder, -> the labelled files of its train, val and test split."""

from __future__ import annotations

import inspect
import re
import shlex
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agnet_vision.data.demo.generate import generate_demo
from agnet_vision.data.sources.card import Card, dataset_root, load_card
from agnet_vision.data.sources.holdout import hold_out
from agnet_vision.data.sources.layouts.aucd import read_aucd_v1, read_aucd_v2
from agnet_vision.data.sources.layouts.caltech256 import read_caltech256
from agnet_vision.data.sources.layouts.folder import read_folder
from agnet_vision.data.sources.layouts.food101 import read_food101
from agnet_vision.data.sources.layouts.ppmi import read_ppmi
from agnet_vision.data.sources.layouts.stanford40 import read_stanford40
from agnet_vision.data.sources.listing import Listing, Problem, ProblemKind, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

__all__ = ["DatasetWarning", "Sample", "SampleTable", "read_listing", "read_samples"]

# With these the labels would be wrong or a class could not be learnt; everything else is a warning.
FATAL: frozenset[ProblemKind] = frozenset(
    {"empty_class", "unknown_class", "class_duplicate", "wrong_list"}
)


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
        drawn: the splits that were held out of train here; the others are the dataset's own.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Sample]]
    problems: list[Problem] = field(default_factory=list)
    drawn: tuple[str, ...] = ()


def read_samples(
    name: str,
    root: Path | str | None = None,
    *,
    val_fraction: float = 0.1,
    test_fraction: float | None = None,
    seed: int = 0,
    **options: Any,
) -> SampleTable:
    """Read a dataset's labelled files; no image is opened.

    Args:
        name: demo, folder, aucd_v1, aucd_v2, stanford40, ppmi, food101 or caltech256.
        root: where the data lies; None: ``datasets/<name>/data``.
        val_fraction: part of train held out as val where the layout has no val split (ours; the papers have none).
        test_fraction: of ``folder`` only: part held out as test where there is no test split (ours: 0.2).
        seed: chooses what is held out.
        **options: of the dataset (``clean`` of aucd_v2, ``csv`` of folder, ...); one it does not have is an error.

    Raises:
        DatasetNotFoundError: nothing there; says where to get it.
        DatasetError: there, but unusable.
        ConfigError: an unknown dataset, an unknown option or a wrong value.
    """
    if test_fraction is not None and name != "folder":
        raise ConfigError(
            f"dataset.test_fraction is for dataset=folder; {name} has its own test split"
        )
    test_fraction = 0.2 if test_fraction is None else test_fraction
    for option, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ConfigError(f"dataset.{option} must be in [0, 1), got {value}")
    listing = read_listing(name, root, **options)
    root = dataset_root(name, root)
    _refuse_or_warn(name, root, listing, options)
    splits = dict(listing.splits)
    drawn = tuple(split for split in ("val", "test") if split not in splits)
    if "test" not in splits:
        splits["train"], splits["test"] = hold_out(splits["train"], test_fraction, seed=seed)
    if "val" not in splits:
        splits["train"], splits["val"] = hold_out(splits["train"], val_fraction, seed=seed)
    ordered = {split: splits[split] for split in ("train", "val", "test")}
    return SampleTable(name, root, listing.classes, ordered, listing.problems, drawn)


def read_listing(name: str, root: Path | str | None = None, **options: Any) -> Listing:
    """Read a layout as it is on disk: the official splits, and every problem its names, lists and counts show.

    Raises:
        DatasetNotFoundError: the root, or what the layout cannot do without, is missing.
        ConfigError: an unknown dataset or option.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    read = _reader(name)
    options = {key: value for key, value in options.items() if value is not None}
    _check_options(name, read, options)
    if name == "demo" and not (root / "demo.json").exists():
        generate_demo(root)
    listing = read(find_layout(card, root), card.classes, **options)
    _check_counts(card, root, listing)
    return listing


def _reader(name: str) -> Callable[..., Listing]:
    """Choose the reader of a layout."""
    match name:
        case "folder":
            return read_folder
        case "demo":
            return lambda root, classes: read_folder(root, classes)
        case "aucd_v1":
            return read_aucd_v1
        case "aucd_v2":
            return read_aucd_v2
        case "stanford40":
            return read_stanford40
        case "ppmi":
            return read_ppmi
        case "food101":
            return read_food101
        case "caltech256":
            return read_caltech256
        case _:
            raise ConfigError(f"dataset={name} has a card but no reader")


def _check_options(name: str, read: Callable[..., Listing], options: dict[str, Any]) -> None:
    """Refuse options the layout does not have."""
    parameters = inspect.signature(read).parameters.values()
    accepted = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        takes = (
            f"its options are {', '.join(accepted)}" if accepted else "it has no options of its own"
        )
        raise ConfigError(f"dataset={name} does not take {', '.join(unknown)}; {takes}")


def find_layout(card: Card, root: Path) -> Path:
    """Find the folder that holds the official layout: the root, or the folder an archive unpacks into.

    Raises:
        DatasetNotFoundError: with what was looked for, where to get it and the command that checks it.
    """
    folders = [root / inside for inside in card.inside]
    for folder in folders:
        if folder.is_dir() and all((folder / need).exists() for need in card.needs):
            return folder
    raise DatasetNotFoundError(
        f"{card.title} is not there: {_what_lacks(card, root, folders)}.\n"
        f"  {card.how_to_get}\n"
        f"  If it lies elsewhere, say dataset.root=<folder>. To check it: {_check_command(card.name, root, {})}"
    )


def _what_lacks(card: Card, root: Path, folders: list[Path]) -> str:
    """Say which file or folder was looked for in vain; of a layout that is half there, only the other half."""
    if not root.is_dir():
        return f"{root} {'is not a folder' if root.exists() else 'does not exist'}"
    for folder in folders:
        missing = [str(folder / need) for need in card.needs if not (folder / need).exists()]
        if len(missing) < len(card.needs):
            return f"{' and '.join(missing)} missing, though part of the dataset lies beside it"
    return " or ".join(str(folder / card.needs[0]) for folder in folders) + " does not exist"


def _check_command(name: str, root: Path, options: dict[str, Any]) -> str:
    """Write the command that checks a dataset."""
    given = {"root": root, **{key: value for key, value in options.items() if value is not None}}
    words = " ".join(
        shlex.quote(f"dataset.{key}={_as_option(str(value))}") for key, value in given.items()
    )
    return f"python tools/prepare_dataset.py dataset={name} {words}"


def _as_option(value: str) -> str:
    """Write a value so that the tools' command line takes it as it is: in quotes where it holds special characters."""
    if re.fullmatch(r"[\w ./:+-]*", value, re.ASCII):
        return value
    return '"' + value.replace('"', r"\"") + '"'


def _check_counts(card: Card, root: Path, listing: Listing) -> None:
    """Record classes without an image, and splits whose size is not the card's."""
    for split, counts in listing.counts().items():
        for name in [name for name, count in counts.items() if count == 0]:
            kind: ProblemKind = "empty_class" if split == "train" else "absent_class"
            where = listing.folders.get((split, name), root)
            listing.report(kind, where, f"{split}: the class {name} has no image")
        expected = card.splits.get(split)
        found = sum(counts.values()) + (len(listing.left_out) if split == "test" else 0)
        if expected is not None and found != expected:
            listing.report(
                "wrong_count", root, f"{split}: {found:,} images, the card says {expected:,}"
            )


def _refuse_or_warn(name: str, root: Path, listing: Listing, options: dict[str, Any]) -> None:
    """Raise for problems that would spoil the labels, warn once for the others."""
    if not listing.splits["train"]:
        raise DatasetError(
            f"dataset={name}: no training image in {root}; expected <class>/*.jpg or train/<class>/*.jpg inside"
            if name == "folder"
            else f"dataset={name}: no training image in {root}; is the archive unpacked completely?"
        )
    check = f"{_check_command(name, root, options)} report=problems.json"
    fatal = [problem for problem in listing.problems if problem.kind in FATAL]
    if fatal:
        raise DatasetError(
            f"dataset={name} cannot be used:\n  {_first(fatal)}\n  All of it: {check}"
        )
    if listing.problems:
        message = f"dataset={name} is not what its card says:\n  {_first(listing.problems)}\n  All of it: {check}"
        warnings.warn(message, DatasetWarning, stacklevel=3)


def _first(problems: list[Problem], number: int = 3) -> str:
    """Show the first problems, and count the rest."""
    more = len(problems) - number
    return "\n  ".join([*map(str, problems[:number]), *([f"and {more} more"] if more > 0 else [])])
