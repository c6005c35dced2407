"""The check of the counts, images and splits of a dataset."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from agnet_vision.data.image import read_image
from agnet_vision.data.prepare.duplicates import (
    DuplicatePair,
    FileFingerprint,
    SmallGrayImage,
    find_alike,
    group_alike,
    make_thumbnail,
    report_alike,
    report_copies,
)
from agnet_vision.data.sources.card import Card, load_card
from agnet_vision.data.sources.listing import Listing, Problem, ProblemKind
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import TEST_FRACTION, VAL_FRACTION, draw_splits
from agnet_vision.data.sources.split_list import list_images, write_split_list
from agnet_vision.errors import ImageReadError
from agnet_vision.files import write_atomically

# File systems differ, a table may say more than is asked, and a class may have folders of its own.
HARMLESS: frozenset[ProblemKind] = frozenset({"case_duplicate", "unused_column", "same_folders"})
# Benchmarks hold such images as published; in data of one's own they can be repaired.
HARMLESS_AS_PUBLISHED: frozenset[ProblemKind] = HARMLESS | {"near_duplicate", "contradiction"}


@dataclass
class CheckResult:
    """Everything that the check of a dataset found.

    Attributes:
        splits: number of images per class in every split that is given.
        problems: problems, each named with its path.
        pairs: images in two splits, the most alike first.
        harmless: kinds of problem with which the dataset can still be used as it is.
        listing: files that were checked.
        groups: for data of one's own, the group of each image that must not be parted from others.
    """

    splits: dict[str, dict[str, int]]
    problems: list[Problem]
    pairs: list[DuplicatePair]
    harmless: frozenset[ProblemKind]
    listing: Listing
    groups: dict[Path, str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Tell whether nothing contradicts the card or forbids to use the dataset."""
        return all(problem.kind in self.harmless for problem in self.problems)

    def write(self, path: Path) -> None:
        """Write ``{"splits": ..., "problems": [{"kind", "path", "detail"}]}`` as JSON."""
        content = {
            "splits": self.splits,
            "problems": [problem._asdict() for problem in self.problems],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name that is not Unicode is written with JSON's own escapes.
        text = json.dumps(content, indent=2, ensure_ascii=False)
        write_atomically(path, text.encode("utf-8", "backslashreplace"))

    def write_groups(self, path: Path) -> None:
        """Write a CSV in which images that are nearly the same share a group.

        ``dataset=folder`` reads the file as ``csv=`` with ``group_column="group"`` and then never
        parts them.
        """
        listing = self.listing
        rows = [
            row._replace(group=self.groups[sample.path])
            for sample, row in zip(
                (sample for samples in listing.splits.values() for sample in samples),
                list_images(listing.splits, listing.classes, listing.layout),
                strict=True,
            )
            if sample.path in self.groups
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_split_list(path, rows)


def check_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    val_fraction: float = VAL_FRACTION,
    test_fraction: float = TEST_FRACTION,
    seed: int = 0,
    find_near_duplicates: bool = True,
    workers: int | None = None,
    show_progress: bool = True,
    **options: Any,
) -> CheckResult:
    """Read every file of a dataset, and find its problems.

    Data of one's own is checked as training would split it, a benchmark by its official splits.

    Args:
        name: name of the dataset.
        root: folder of the data; ``datasets/<name>/data`` where None.
        val_fraction: share that training would hold out for validation.
        test_fraction: share that training would hold out for the test.
        seed: seed of what is held out.
        find_near_duplicates: whether images that are nearly the same are sought.
        workers: number of processes that read images; one per core where None.
        show_progress: whether a bar is drawn on the terminal.
        **options: options of the dataset, as for ``read_samples``.

    Raises:
        DatasetNotFoundError: there is nothing to check.
        ConfigError: an option does not fit the dataset.
    """
    listing = read_listing(name, root, **options)
    card = load_card(name)
    _check_class_counts(card, listing)
    own = card.own
    splits = listing.splits
    if own and not listing.fatal():
        splits = draw_splits(listing, val_fraction, test_fraction, seed)

    samples = [(split, sample) for split, members in splits.items() for sample in members]
    paths = list(dict.fromkeys(sample.path for _, sample in samples))
    contents = _read_all(paths, f"reading {name}", workers, show_progress)
    for path, content in contents.items():
        if content.thumbnail is None:
            listing.report("undecodable", path, content.reason)

    files = [
        FileFingerprint(s.path, split, s.label, s.group, *contents[s.path][:2])
        for split, s in samples
    ]
    pairs, groups = report_copies(listing, files), {}
    if find_near_duplicates:
        alike = find_alike(files)
        pairs += report_alike(listing, alike)
        groups = group_alike(files, alike) if own else {}
    harmless = HARMLESS if own else HARMLESS_AS_PUBLISHED
    return CheckResult(listing.counts(), listing.problems, pairs, harmless, listing, groups)


class _Content(NamedTuple):
    """The digest of a file, and its thumbnail or what prevents one."""

    digest: str
    thumbnail: SmallGrayImage | None
    reason: str


def _read_all(
    paths: list[Path], title: str, workers: int | None, show_progress: bool
) -> dict[Path, _Content]:
    """Read many files in parallel, with a bar."""
    jobs = Parallel(n_jobs=workers or -1, return_as="generator", batch_size=32)(
        delayed(_read)(path) for path in paths
    )
    bar = track(
        jobs, title, total=len(paths), console=Console(stderr=True), disable=not show_progress
    )
    return dict(zip(paths, bar, strict=True))


def _read(path: Path) -> _Content:
    """Read, digest and shrink one file."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        return _Content(digest, make_thumbnail(read_image(path)), "")
    except ImageReadError as error:
        return _Content(digest, None, error.reason)
    except OSError as error:
        return _Content("", None, error.strerror or str(error))


def _check_class_counts(card: Card, listing: Listing) -> None:
    """Record the classes whose number of images differs from the card."""
    counts = listing.counts()
    for split, expected in card.counts.items():
        for name, number in zip(card.classes, expected, strict=True):
            _compare_count(listing, f"{split}/{name}", counts[split][name], number)
    left_out = Counter(listing.classes[sample.label] for sample in listing.left_out)
    for name, number in zip(card.classes, card.totals, strict=bool(card.totals)):
        found = sum(split[name] for split in counts.values()) + left_out[name]
        _compare_count(listing, name, found, number)


def _compare_count(listing: Listing, where: str, found: int, expected: int) -> None:
    """Record a count that differs from the card."""
    if found != expected:
        listing.report("wrong_count", where, f"{found:,} images, the card says {expected:,}")
