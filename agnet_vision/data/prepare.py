"""Get a dataset, check it, mend it: what ``tools/prepare_dataset.py`` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from agnet_vision.data.card import Card, dataset_root, load_card
from agnet_vision.data.check import CheckResult, check_dataset
from agnet_vision.data.download import download
from agnet_vision.data.listing import ProblemKind
from agnet_vision.data.samples import find_layout
from agnet_vision.data.unpack import unpack
from agnet_vision.errors import DatasetNotFoundError

# What unpacking the archives again can cure.
MENDABLE: frozenset[ProblemKind] = frozenset(
    {"missing_file", "missing_folder", "empty_class", "wrong_count", "undecodable"}
)


def prepare_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    allow_download: bool = True,
    mend: bool = False,
    find_near_duplicates: bool = True,
    workers: int | None = None,
    show_progress: bool = True,
    **options: Any,
) -> CheckResult:
    """Make sure a dataset is there, then check it; nothing is fetched when it is there already.

    Args:
        name: of the dataset.
        root: where it lies or shall lie; None: ``datasets/<name>/data``.
        allow_download: fetch missing archives, where the licence allows it.
        mend: unpack the archives again when the check finds files missing or damaged.
        find_near_duplicates: compare the pictures of every two splits.
        workers: processes that read images; None: one a core.
        show_progress: draw bars on the terminal.
        **options: of the dataset, as for ``read_samples``.

    Raises:
        DatasetNotFoundError: it is not there and cannot be fetched; says what to do.
        DatasetError: an archive is damaged or not safe.
    """
    card = load_card(name)
    root = dataset_root(name, root)
    check = partial(
        check_dataset,
        name,
        root,
        find_near_duplicates=find_near_duplicates,
        workers=workers,
        show_progress=show_progress,
        **options,
    )
    if card.files and not _is_there(card, root):
        _get(card, root, allow_download=allow_download, show_progress=show_progress)
    result = check()
    if mend and card.files and any(problem.kind in MENDABLE for problem in result.problems):
        _get(card, root, allow_download=allow_download, show_progress=show_progress)
        result = check()
    return result


def _is_there(card: Card, root: Path) -> bool:
    """Tell whether the layout is there, complete or not."""
    try:
        find_layout(card, root)
    except DatasetNotFoundError:
        return False
    return True


def _get(card: Card, root: Path, *, allow_download: bool, show_progress: bool) -> None:
    """Fetch the archives that are not there, and unpack all of them."""
    missing = [file.name for file in card.files if not (root / file.name).exists()]
    if missing and not allow_download:
        raise DatasetNotFoundError(
            f"{card.title}: {root / missing[0]} is not there, and download=false; "
            f"allow the download, or get it from {card.source} and put it there"
        )
    for file in card.files:
        unpack(download(file, root, show_progress=show_progress), root)
