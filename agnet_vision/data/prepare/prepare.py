"""Fetch a dataset, check it and repair it: the work of ``agnet prepare``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from agnet_vision.data.prepare.archives import download, unpack
from agnet_vision.data.prepare.check import CheckResult, check_dataset
from agnet_vision.data.sources.card import Card, dataset_root, load_card
from agnet_vision.data.sources.listing import ProblemKind
from agnet_vision.data.sources.readers import find_layout
from agnet_vision.errors import FULL, ConfigError, DatasetError, DatasetNotFoundError

# What unpacking the archives again can cure.
REPAIRABLE: frozenset[ProblemKind] = frozenset(
    {"missing_file", "missing_folder", "empty_class", "wrong_count", "undecodable"}
)


def prepare_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    allow_download: bool = True,
    repair: bool = False,
    show_progress: bool = True,
    **options: Any,
) -> CheckResult:
    """Fetch a dataset that is not there, then check it.

    Args:
        root: folder of the data; ``datasets/<name>/data`` where None.
        allow_download: whether missing archives are fetched, where the license allows it.
        repair: whether archives are unpacked again when files are found missing or damaged.
        **options: options of the check and of the dataset, as for ``check_dataset``.

    Raises:
        ConfigError: ``repair`` is set for a dataset without archives.
        DatasetNotFoundError: it is not there and cannot be fetched; the message says what to do.
        DatasetError: an archive is damaged or not safe, or the root cannot be written.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    if repair and not card.files:
        raise ConfigError(
            f"repair unpacks archives again, but {card.title} has none; check it without "
            f"repair, and {card.how_to_repair}"
        )

    check = partial(check_dataset, name, root, show_progress=show_progress, **options)
    if card.files and _layout(card, root) is None:
        _get(card, root, allow_download=allow_download, show_progress=show_progress)

    result = check()
    if repair and can_be_repaired(card, result):
        _get(card, root, allow_download=allow_download, show_progress=show_progress)
        result = check()
    return result


def can_be_repaired(card: Card, result: CheckResult) -> bool:
    """Tell whether unpacking again may cure what a check found."""
    return bool(card.files) and any(problem.kind in REPAIRABLE for problem in result.problems)


def _layout(card: Card, root: Path) -> Path | None:
    """Find the layout, complete or not; None where there is none."""
    try:
        return find_layout(card, root)
    except DatasetNotFoundError:
        return None


def _get(card: Card, root: Path, *, allow_download: bool, show_progress: bool) -> None:
    """Fetch the missing archives, then unpack all archives."""
    missing = [file.name for file in card.files if not (root / file.name).exists()]
    if missing and not allow_download:
        raise DatasetNotFoundError(
            f"{card.title}: {root / missing[0]} is not there, and may not be downloaded; "
            f"allow the download, or get it from {card.source} and put it there"
        )

    # Where the root is the archive's own folder already, another one inside it would be no repair.
    is_inside = _layout(card, root) == root
    strip = [name for name in card.inside if name != "."] if is_inside else []

    try:
        for file in card.files:
            unpack(download(file, root, show_progress=show_progress), root, strip=strip)
    except OSError as error:
        if error.errno in FULL:  # the tool has its own words for a full disk
            raise
        raise DatasetError(
            f"{card.title} cannot be put into {root}: {error.strerror or error}; "
            "choose another dataset.root"
        ) from error
