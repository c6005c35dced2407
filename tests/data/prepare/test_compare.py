"""Copies and look-alikes, told apart by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agnet_vision.data.prepare.compare import (
    AlikeImages,
    DuplicatePair,
    LookedAt,
    find_alike,
    group_alike,
    report_alike,
    report_copies,
)
from agnet_vision.data.prepare.duplicates import Fingerprint, SimilarPairs, fingerprint
from agnet_vision.data.sources.listing import Listing

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
PRINT = fingerprint(NOISE)


def look(
    name: str,
    split: str = "train",
    label: int = 0,
    *,
    group: str | None = None,
    digest: str | None = None,
    seen: Fingerprint | None = PRINT,
) -> LookedAt:
    return LookedAt(Path(name), split, label, group, name if digest is None else digest, seen)


def alike(images: list[LookedAt], *pairs: tuple[int, int, float]) -> AlikeImages:
    first, second, similarity = (np.array(column) for column in zip(*pairs, strict=True))
    return AlikeImages(images, SimilarPairs(first, second, similarity))


def kinds(listing: Listing) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path) for problem in listing.problems]


def test_value_copies_are_reported_once() -> None:
    listing = Listing(("ant", "bee"))
    looks = [
        look("a", digest="same"),
        look("b", digest="same"),
        look("c", "test", digest="same"),
        look("d", label=1, digest="same"),
        look("e", "test"),
    ]
    assert report_copies(listing, looks) == [DuplicatePair(Path("a"), Path("c"), 1.0)]
    assert kinds(listing) == [("duplicate", "c"), ("contradiction", "d")]
    assert "which is in the class ant" in listing.problems[1].detail


def test_files_that_cannot_be_read_are_no_copies() -> None:
    listing = Listing(("ant",))
    unread = [
        look(name, split, digest="", seen=None) for name, split in (("a", "train"), ("b", "test"))
    ]
    assert report_copies(listing, unread) == []
    assert listing.problems == []
    assert (
        group_alike(unread, alike([], (0, 0, 1.0))._replace(pairs=find_alike(unread).pairs)) == {}
    )


def test_value_copies_are_left_out_of_the_comparison() -> None:
    copies = [look("a", digest="same"), look("b", digest="same"), look("c"), look("d", seen=None)]
    found = find_alike(copies)
    assert [each.path.name for each in found.images] == ["a", "c"]
    assert list(zip(found.pairs.first, found.pairs.second, strict=True)) == [(0, 1)]


def test_value_a_look_alike_is_reported_by_what_it_is_most_like() -> None:
    listing = Listing(("ant",))
    images = [look("a"), look("b"), look("c", "test"), look("d", "test")]
    pairs = report_alike(
        listing, alike(images, (0, 2, 0.95), (1, 2, 0.99), (0, 1, 1.0), (2, 3, 1.0))
    )
    assert pairs == [DuplicatePair(Path("b"), Path("c"), 0.99)]
    assert kinds(listing) == [("near_duplicate", "c")]
    assert listing.problems[0].detail.startswith("test: nearly the same image as b in train")


def test_value_groups_join_copies_look_alikes_and_given_groups() -> None:
    looks = [
        look("dir/a"),
        look("dir/b"),
        look("c", group="owl"),
        look("d", group="owl"),
        look("e", digest="dir/b"),
        look("f"),
        look("g", digest=""),
    ]
    images = [looks[0], looks[1], looks[2]]
    found = group_alike(looks, alike(images, (1, 2, 0.99)))
    assert set(found) == {each.path for each in looks} - {Path("g")}
    joined = {found[Path(name)] for name in ("dir/b", "c", "d", "e")}
    assert len(joined) == 1
    assert joined.pop().endswith(" b"), "named by its first file"
    assert len(set(found.values())) == 3
