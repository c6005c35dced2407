"""Find copies of images, and images that are nearly equal: re-encoded, resized, brightened, turned.

Two images are nearly equal where the gradients of their thumbnails correlate by ``MIN_SIMILARITY``.
The mean gradient of all images is taken away first, so that frames, bars and white backgrounds
that many of them share do not make them alike. docs/benchmarks/duplicates.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.cluster.hierarchy import DisjointSet

from agnet_vision.data.sources.listing import Listing
from agnet_vision.structures import RGBImage
from agnet_vision.task import Label

MIN_SIMILARITY = 0.85  # ours
THUMBNAIL_SIDE = 16
MEAN_WEIGHT = 100  # ours: in a set of so many images the mean counts half, in a small one hardly
_ROWS = 256  # images compared with all others at once

SmallGrayImage = UInt8[np.ndarray, "side side"]


class FileFingerprint(NamedTuple):
    """A listed file: no digest if it could not be read, no thumbnail if it is no whole image."""

    path: Path
    split: str
    label: Label
    group: str | None
    digest: str
    thumbnail: SmallGrayImage | None


class DuplicatePair(NamedTuple):
    """Two files that show the same image; similarity 1 means the same bytes."""

    first: Path
    second: Path
    similarity: float


class AlikeImages(NamedTuple):
    """Different images, one per content that could be decoded, and which are nearly the same.

    Attributes:
        first: index of each pair's earlier image.
        second: index of each pair's later image.
        similarity: correlation of each pair's gradients.
    """

    files: list[FileFingerprint]
    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    similarity: Float[np.ndarray, " pairs"]


def make_thumbnail(image: RGBImage) -> SmallGrayImage:
    """Shrink an image to the few gray pixels it is compared by."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA))


def _gradients(
    thumbnails: UInt8[np.ndarray, "images side side"],
) -> Float[np.ndarray, "images steps"]:
    """Take the steps between neighboring pixels, less their mean over all images, as unit vectors.

    A flat image becomes zero and is like no other.
    """
    pixels = thumbnails.astype(np.float32)
    across = np.diff(pixels, axis=2).reshape(len(pixels), -1)
    down = np.diff(pixels, axis=1).reshape(len(pixels), -1)
    steps = np.concatenate([across, down], axis=1)
    flat = np.linalg.norm(steps, axis=1) < 1
    steps -= steps.mean(axis=0) * (len(steps) / (len(steps) + MEAN_WEIGHT))
    steps[flat] = 0
    return steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-3)


def report_copies(listing: Listing, files: Sequence[FileFingerprint]) -> list[DuplicatePair]:
    """Record files with the bytes of an earlier one in another split or another class.

    Each is recorded once, however many copies there are. Only images become pairs: a damaged file
    cannot be drawn.
    """
    earliest: dict[str, FileFingerprint] = {}
    pairs = []
    for file in files:
        first = earliest.setdefault(file.digest, file)
        if not file.digest or first.path == file.path:
            continue

        if first.label != file.label:
            own, other = (listing.task.text(each.label, listing.classes) for each in (file, first))
            detail = f"{own}: the same bytes as {first.path}, which is in the class {other}"
            listing.report("contradiction", file.path, detail)
        if first.split != file.split:
            detail = f"{file.split}: the same bytes as {first.path} in {first.split}"
            listing.report("duplicate", file.path, detail)
            if file.thumbnail is not None:
                pairs.append(DuplicatePair(first.path, file.path, 1.0))
    return pairs


def find_alike(files: Sequence[FileFingerprint]) -> AlikeImages:
    """Pair the images whose gradients correlate by ``MIN_SIMILARITY`` at least, without copies."""
    unique: dict[str, FileFingerprint] = {}
    for file in files:
        if file.thumbnail is not None:
            unique.setdefault(file.digest, file)
    thumbnails = [file.thumbnail for file in unique.values() if file.thumbnail is not None]
    units = _gradients(np.stack(thumbnails)) if thumbnails else np.zeros((0, 1), np.float32)

    pairs = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for start in range(0, len(units), _ROWS):
        similarity = np.asarray(units[start : start + _ROWS] @ units[start:].T)
        rows, columns = np.nonzero(np.triu(similarity >= MIN_SIMILARITY, k=1))
        pairs.append((start + rows, start + columns, similarity[rows, columns]))
    columns_of_pairs = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return AlikeImages(list(unique.values()), *columns_of_pairs)


def report_alike(listing: Listing, alike: AlikeImages) -> list[DuplicatePair]:
    """Record each image that is nearly like one of an earlier split, with the most alike one."""
    best: dict[int, tuple[float, int]] = {}
    for i, j, similarity in zip(alike.first, alike.second, alike.similarity, strict=True):
        if alike.files[i].split != alike.files[j].split:  # files are in order of their splits
            best[j] = max(best.get(j, (0.0, 0)), (float(similarity), i))

    found = []
    for j, (similarity, i) in best.items():
        file, other = alike.files[j], alike.files[i]
        detail = f"nearly the same image as {other.path} in {other.split} ({similarity:.3f} alike)"
        listing.report("near_duplicate", file.path, f"{file.split}: {detail}")
        found.append(DuplicatePair(other.path, file.path, similarity))
    return sorted(found, key=lambda pair: -pair.similarity)


def group_alike(files: Sequence[FileFingerprint], alike: AlikeImages) -> dict[Path, str]:
    """Group each readable file with copies, look-alikes and its given group.

    Returns:
        The name of each file's group: a number and the group's first file.
    """
    readable = [file for file in files if file.digest]
    groups = DisjointSet([file.digest for file in readable])
    for i, j in zip(alike.first, alike.second, strict=True):
        groups.merge(alike.files[i].digest, alike.files[j].digest)
    first_of: dict[str, str] = {}  # the digest of a given group's first file
    for file in readable:
        if file.group is not None:
            groups.merge(first_of.setdefault(file.group, file.digest), file.digest)

    names: dict[str, str] = {}
    for file in readable:
        names.setdefault(groups[file.digest], f"{len(names)} {file.path.name}")
    return {file.path: names[groups[file.digest]] for file in readable}
