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

from agnet_vision.data.image import has_16_bits, read_image
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

# With these a dataset can still be used as it is: a table may say more than is asked, and a class
# may have folders of its own.
ACCEPTED: frozenset[ProblemKind] = frozenset({"unused_column", "same_folders"})
# Benchmarks hold such images as published; in data of one's own they can be repaired.
ACCEPTED_AS_PUBLISHED: frozenset[ProblemKind] = ACCEPTED | {"near_duplicate", "contradiction"}
DARK = 256 // 8  # ours: 12-bit values in 16-bit files end at a sixteenth of the range


@dataclass
class CheckResult:
    """Everything that the check of a dataset found.

    Attributes:
        splits: number of images per class in every split that is given.
        pairs: images in two splits, the most alike first.
        accepted: kinds of problem with which the dataset can still be used as it is.
        groups: for data of one's own, the group of each image that must not be parted from others.
    """

    splits: dict[str, dict[str, int]]
    problems: list[Problem]
    pairs: list[DuplicatePair]
    accepted: frozenset[ProblemKind]
    listing: Listing
    groups: dict[Path, str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Tell whether nothing contradicts the card or forbids to use the dataset."""
        return all(problem.kind in self.accepted for problem in self.problems)

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
        grouped = {
            split: [
                sample._replace(group=self.groups[sample.path])
                for sample in samples
                if sample.path in self.groups
            ]
            for split, samples in self.listing.splits.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        listing = self.listing
        rows = list_images(grouped, listing.classes, listing.layout, listing.task)
        write_split_list(path, rows, listing.task)


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
        root: folder of the data; ``datasets/<name>/data`` where None.
        val_fraction: share that training would hold out for validation.
        test_fraction: share that training would hold out for the test.
        seed: seed of what is held out.
        workers: number of processes that read images; one per core where None.
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
    jobs = Parallel(n_jobs=workers or -1, return_as="generator", batch_size=32)(
        delayed(_read)(path) for path in paths
    )
    bar = track(
        jobs,
        f"reading {name}",
        total=len(paths),
        console=Console(stderr=True),
        disable=not show_progress,
    )
    contents = dict(zip(paths, bar, strict=True))
    for path, content in contents.items():
        if content.problem is not None:
            listing.report(content.problem, path, content.detail)

    files = [
        FileFingerprint(s.path, split, s.label, s.group, *contents[s.path][:2])
        for split, s in samples
    ]
    pairs, groups = report_copies(listing, files), {}
    if find_near_duplicates:
        alike = find_alike(files)
        pairs += report_alike(listing, alike)
        groups = group_alike(files, alike) if own else {}
    accepted = ACCEPTED if own else ACCEPTED_AS_PUBLISHED
    return CheckResult(listing.counts(), listing.problems, pairs, accepted, listing, groups)


class _Content(NamedTuple):
    """The digest of a file, its thumbnail if it is an image, and what is wrong with it."""

    digest: str
    thumbnail: SmallGrayImage | None
    problem: ProblemKind | None = None
    detail: str = ""


def _read(path: Path) -> _Content:
    """Read, digest and shrink one file."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        return _Content("", None, "undecodable", error.strerror or str(error))

    try:
        image = read_image(path)
        is_dark = image.max() < DARK and has_16_bits(path)
    except ImageReadError as error:
        return _Content(digest, None, "undecodable", error.reason)
    if is_dark:
        detail = "16-bit values under an eighth of their range are nearly black; scale them up"
        return _Content(digest, make_thumbnail(image), "dark", detail)
    return _Content(digest, make_thumbnail(image))


def _check_class_counts(card: Card, listing: Listing) -> None:
    """Record the classes whose number of images differs from the card."""
    counts = listing.counts()
    rows = [
        (f"{split}/{name}", counts[split][name], number)
        for split, expected in card.counts.items()
        for name, number in zip(card.classes, expected, strict=True)
    ]
    left_out = Counter(
        listing.task.text(sample.label, listing.classes) for sample in listing.left_out
    )
    for name, number in zip(card.classes, card.totals, strict=bool(card.totals)):
        rows.append((name, sum(split[name] for split in counts.values()) + left_out[name], number))

    for where, found, number in rows:
        if found != number:
            listing.report("wrong_count", where, f"{found:,} images, the card says {number:,}")
