"""Check a dataset on disk: counts against the card, every image decoded, no picture in two splits."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from agnet_vision.data.image import read_image
from agnet_vision.data.prepare.duplicates import Fingerprint, fingerprint, near_duplicates
from agnet_vision.data.sources.card import Card, load_card
from agnet_vision.data.sources.listing import Listing, Problem, ProblemKind
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.errors import ImageReadError

# These contradict no card: file systems differ, and some benchmarks hold such pictures as published.
HARMLESS: frozenset[ProblemKind] = frozenset({"near_duplicate", "case_duplicate"})


class Twins(NamedTuple):
    """Two files of two splits that show the same picture, and how alike they are (1: the same bytes)."""

    first: Path
    second: Path
    correlation: float


class CheckResult(NamedTuple):
    """What a check found.

    Attributes:
        splits: images per class in every official split.
        problems: everything that is wrong, named with its path.
        twins: pictures in two splits, the most alike first.
    """

    splits: dict[str, dict[str, int]]
    problems: list[Problem]
    twins: list[Twins]

    @property
    def agrees(self) -> bool:
        """Tell whether nothing contradicts the card."""
        return all(problem.kind in HARMLESS for problem in self.problems)

    def write(self, path: Path) -> None:
        """Write ``{"splits": ..., "problems": [{"kind", "path", "detail"}]}``, at once or not at all."""
        content = {
            "splits": self.splits,
            "problems": [problem._asdict() for problem in self.problems],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name that is no Unicode is written with JSON's own escapes.
        text = json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.write_bytes(text)
        unfinished.replace(path)


class _Look(NamedTuple):
    """What reading one file gave: its digest, and its fingerprint or why it has none."""

    digest: str
    fingerprint: Fingerprint | None
    reason: str


def check_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    find_near_duplicates: bool = True,
    workers: int | None = None,
    show_progress: bool = True,
    **options: Any,
) -> CheckResult:
    """Read every file of a dataset and compare what is there with its card.

    Args:
        name: of the dataset.
        root: where it lies; None: ``datasets/<name>/data``.
        find_near_duplicates: compare the pictures of every two splits.
        workers: processes that read images; None: one a core.
        show_progress: draw a bar on the terminal.
        **options: of the dataset, as for ``read_samples``.

    Raises:
        DatasetNotFoundError: there is nothing to check.
    """
    listing = read_listing(name, root, **options)
    _check_class_counts(load_card(name), listing)
    paths = {
        split: [sample.path for sample in samples] for split, samples in listing.splits.items()
    }
    every_path = list(dict.fromkeys(path for split in paths.values() for path in split))
    jobs = Parallel(n_jobs=workers or -1, return_as="generator", batch_size=32)(
        delayed(_look)(p) for p in every_path
    )
    on_terminal = Console(stderr=True)
    looked = track(
        jobs,
        f"reading {name}",
        total=len(every_path),
        console=on_terminal,
        disable=not show_progress,
    )
    looks = dict(zip(every_path, looked, strict=True))
    for path, look in looks.items():
        if look.fingerprint is None:
            listing.report("undecodable", path, look.reason)
    twins = _same_bytes(listing, paths, looks)
    if find_near_duplicates:
        twins += _nearly_the_same(listing, paths, looks)
    return CheckResult(listing.counts(), listing.problems, twins)


def _look(path: Path) -> _Look:
    """Read one file."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        return _Look(digest, fingerprint(read_image(path)), "")
    except ImageReadError as error:
        return _Look(digest, None, error.reason)
    except OSError as error:
        return _Look("", None, error.strerror or str(error))


def _check_class_counts(card: Card, listing: Listing) -> None:
    """Record classes whose number of images is not the card's."""
    counts = listing.counts()
    for split, expected in card.counts.items():
        for name, number in zip(card.classes, expected, strict=True):
            _compare_count(listing, f"{split}/{name}", counts[split][name], number)
    left_out = Counter(listing.classes[sample.label] for sample in listing.left_out)
    for name, number in zip(card.classes, card.totals, strict=bool(card.totals)):
        _compare_count(
            listing, name, sum(split[name] for split in counts.values()) + left_out[name], number
        )


def _compare_count(listing: Listing, where: str, found: int, expected: int) -> None:
    """Record one count that differs."""
    if found != expected:
        listing.report("wrong_count", where, f"{found:,} images, the card says {expected:,}")


def _same_bytes(
    listing: Listing, paths: dict[str, list[Path]], looks: dict[Path, _Look]
) -> list[Twins]:
    """Record files that hold the same bytes as one of an earlier split; each once, however many copies there are.

    Only pictures become twins: a damaged file cannot be drawn.
    """
    holder: dict[str, tuple[str, Path]] = {}
    twins = []
    for split, members in paths.items():
        for path in members:
            if not looks[path].digest:
                continue
            first_split, first = holder.setdefault(looks[path].digest, (split, path))
            if first_split != split and first != path:
                listing.report(
                    "duplicate", path, f"{split}: the same bytes as {first} in {first_split}"
                )
                if looks[path].fingerprint is not None:
                    twins.append(Twins(first, path, 1.0))
    return twins


def _nearly_the_same(
    listing: Listing, paths: dict[str, list[Path]], looks: dict[Path, _Look]
) -> list[Twins]:
    """Record pictures of two splits that look nearly the same; the same bytes were recorded already."""
    twins = []
    different = {split: _different(members, looks) for split, members in paths.items()}
    for split, other_split in combinations(paths, 2):
        first, second = different[split], different[other_split]
        for pair in near_duplicates(_prints(first, looks), _prints(second, looks)):
            path, other = first[pair.first], second[pair.second]
            if looks[path].digest != looks[other].digest:
                detail = f"nearly the same picture as {path} in {split} (correlation {pair.correlation:.3f})"
                listing.report("near_duplicate", other, f"{other_split}: {detail}")
                twins.append(Twins(path, other, pair.correlation))
    return sorted(twins, key=lambda pair: -pair.correlation)


def _different(paths: list[Path], looks: dict[Path, _Look]) -> list[Path]:
    """Keep one path of every content that could be decoded."""
    first = {
        looks[path].digest: path for path in reversed(paths) if looks[path].fingerprint is not None
    }
    return list(reversed(first.values()))


def _prints(paths: list[Path], looks: dict[Path, _Look]) -> list[Fingerprint]:
    """Collect fingerprints."""
    return [print_ for path in paths if (print_ := looks[path].fingerprint) is not None]
