"""Copies and look-alikes, told apart by hand and by a slow loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.prepare.duplicates import (
    MIN_SIMILARITY,
    AlikeImages,
    DuplicatePair,
    FileFingerprint,
    find_alike,
    group_alike,
    make_thumbnail,
    report_alike,
    report_copies,
)
from agnet_vision.data.sources.listing import Listing


def noise(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def look(
    name: str,
    split: str = "train",
    label: int = 0,
    *,
    group: str | None = None,
    digest: str | None = None,
    seen: np.ndarray | None = None,
) -> FileFingerprint:
    return FileFingerprint(
        Path(name), split, label, group, name if digest is None else digest, seen
    )


def pairs_of(thumbnails: list[np.ndarray]) -> list[tuple[int, int]]:
    found = find_alike([look(str(i), seen=each) for i, each in enumerate(thumbnails)])
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_value_equals_a_slow_loop() -> None:
    images = [noise(seed) for seed in range(30)]
    images += [(noise(seed, 50) * 0.9 + 5).astype(np.uint8) for seed in range(20, 50)]
    thumbnails = [make_thumbnail(image) for image in images]

    pixels = [thumbnail.astype(np.float64) for thumbnail in thumbnails]
    steps = [
        np.concatenate([np.diff(t, axis=1).ravel(), np.diff(t, axis=0).ravel()]) for t in pixels
    ]
    mean = sum(steps) / len(steps) * len(steps) / (len(steps) + 100)
    slow = []
    for i in range(60):
        for j in range(i + 1, 60):
            a, b = steps[i] - mean, steps[j] - mean
            correlation = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
            if correlation >= MIN_SIMILARITY:
                slow.append((i, j))
    assert sorted(pairs_of(thumbnails)) == slow
    assert {(20 + k, 30 + k) for k in range(10)} <= set(slow)


def reencode(image: np.ndarray) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "change",
    [
        reencode,
        lambda image: cv2.resize(image, (40, 90), interpolation=cv2.INTER_AREA),
        lambda image: np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8),
        lambda image: np.ascontiguousarray(image[2:, 2:]),
    ],
)
def test_a_changed_image_is_found(change: Callable[[np.ndarray], np.ndarray]) -> None:
    images = [noise(seed, 128) for seed in range(40)]
    thumbnails = [make_thumbnail(image) for image in [*images, change(images[7])]]
    assert pairs_of(thumbnails) == [(7, 40)]


def test_a_shared_frame_makes_no_images_alike() -> None:
    thumbnails = []
    for seed in range(200):
        image = np.full((80, 80, 3), 255, np.uint8)
        image[10:70, 10:70] = noise(seed, 60)
        thumbnails.append(make_thumbnail(image))
    assert pairs_of(thumbnails) == []


def test_flat_images_and_none() -> None:
    flat = [make_thumbnail(np.full((32, 32, 3), value, np.uint8)) for value in (0, 128, 255)]
    assert pairs_of(flat) == pairs_of([]) == []


THUMBNAIL = make_thumbnail(noise(0))


def alike(images: list[FileFingerprint], *pairs: tuple[int, int, float]) -> AlikeImages:
    first, second, similarity = (np.array(column) for column in zip(*pairs, strict=True))
    return AlikeImages(images, first, second, similarity)


def kinds(listing: Listing) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path) for problem in listing.problems]


def test_value_copies_are_reported_once() -> None:
    listing = Listing(("ant", "bee"))
    looks = [
        look("a", digest="same", seen=THUMBNAIL),
        look("b", digest="same", seen=THUMBNAIL),
        look("c", "test", digest="same", seen=THUMBNAIL),
        look("d", label=1, digest="same"),
        look("e", "test"),
    ]
    assert report_copies(listing, looks) == [DuplicatePair(Path("a"), Path("c"), 1.0)]
    assert kinds(listing) == [("duplicate", "c"), ("contradiction", "d")]
    assert "which is in the class ant" in listing.problems[1].detail


def test_files_that_cannot_be_read_are_no_copies() -> None:
    listing = Listing(("ant",))
    unread = [look("a", digest=""), look("b", "test", digest="")]
    assert report_copies(listing, unread) == listing.problems == []
    assert group_alike(unread, find_alike(unread)) == {}


def test_value_copies_are_left_out_of_the_comparison() -> None:
    copies = [
        look("a", digest="same", seen=THUMBNAIL),
        look("b", digest="same", seen=THUMBNAIL),
        look("c", seen=THUMBNAIL),
        look("d", digest="same", seen=THUMBNAIL),
        look("e"),
    ]
    found = find_alike(copies)
    assert [each.path.name for each in found.files] == ["a", "c"]
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]


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
