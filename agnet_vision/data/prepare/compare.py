"""The search for copies and near copies across splits."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from agnet_vision.data.prepare.duplicates import Fingerprint, SimilarPairs, similar_pairs
from agnet_vision.data.sources.listing import Listing


class LookedAt(NamedTuple):
    """What reading one listed file gave.

    Attributes:
        path: the file.
        split: where it is used.
        label: of its class.
        group: who or what it shows; None where that is unknown.
        digest: of its bytes; empty where it could not be read.
        fingerprint: None where it cannot be decoded.
    """

    path: Path
    split: str
    label: int
    group: str | None
    digest: str
    fingerprint: Fingerprint | None


class DuplicatePair(NamedTuple):
    """Two files of two splits that show the same image.

    Similarity 1 means the same bytes.
    """

    first: Path
    second: Path
    similarity: float


def report_copies(listing: Listing, looks: list[LookedAt]) -> list[DuplicatePair]:
    """Record copies in another split or another class.

    A copy is a file with the bytes of an earlier one. Each is recorded once, however many copies
    there are. Only images become pairs: a damaged file cannot be drawn.
    """
    holder: dict[str, LookedAt] = {}
    pairs = []
    for look in looks:
        first = holder.setdefault(look.digest, look)
        if not look.digest or first.path == look.path:
            continue
        if first.label != look.label:
            names = f"{listing.classes[look.label]}: the same bytes as {first.path}"
            detail = f"{names}, which is in the class {listing.classes[first.label]}"
            listing.report("contradiction", look.path, detail)
        if first.split != look.split:
            detail = f"{look.split}: the same bytes as {first.path} in {first.split}"
            listing.report("duplicate", look.path, detail)
            if look.fingerprint is not None:
                pairs.append(DuplicatePair(first.path, look.path, 1.0))
    return pairs


class AlikeImages(NamedTuple):
    """Different images, and which of them are nearly the same.

    Attributes:
        images: one of each content that could be decoded.
        pairs: by index into ``images``.
    """

    images: list[LookedAt]
    pairs: SimilarPairs


def find_alike(looks: list[LookedAt]) -> AlikeImages:
    """Compare all images with each other, leaving copies out."""
    unique = {look.digest: look for look in reversed(looks) if look.fingerprint is not None}
    images = list(reversed(unique.values()))
    prints = [look.fingerprint for look in images if look.fingerprint is not None]
    return AlikeImages(images, similar_pairs(prints))


def report_alike(listing: Listing, alike: AlikeImages) -> list[DuplicatePair]:
    """Record each image nearly like another split's, once."""
    images, pairs = alike
    best: dict[int, tuple[float, int]] = {}
    for first, second, similarity in zip(*(column.tolist() for column in pairs), strict=True):
        # Images are in the order of their splits, so the second is never in an earlier one.
        if images[first].split != images[second].split:
            best[second] = max(best.get(second, (0.0, 0)), (similarity, first))
    found = []
    for second, (similarity, first) in best.items():
        other, path = images[first], images[second].path
        detail = f"nearly the same image as {other.path} in {other.split} ({similarity:.3f} alike)"
        listing.report("near_duplicate", path, f"{images[second].split}: {detail}")
        found.append(DuplicatePair(other.path, path, similarity))
    return sorted(found, key=lambda pair: -pair.similarity)


def group_alike(looks: list[LookedAt], alike: AlikeImages) -> dict[Path, str]:
    """Group each image with copies, look-alikes and its given group.

    Args:
        looks: what reading the files gave.
        alike: what ``find_alike`` found among them.

    Returns:
        A group for every file that could be read, named by its first file.
    """
    readable = [look for look in looks if look.digest]
    index = {look.digest: i for i, look in reversed(list(enumerate(readable)))}
    edges = [(i, index[look.digest]) for i, look in enumerate(readable)]
    for first, second in zip(alike.pairs.first.tolist(), alike.pairs.second.tolist(), strict=True):
        edges.append((index[alike.images[first].digest], index[alike.images[second].digest]))
    members: dict[str, list[int]] = defaultdict(list)
    for i, look in enumerate(readable):
        if look.group is not None:
            members[look.group].append(i)
    edges += [(group[0], i) for group in members.values() for i in group]

    if not readable:
        return {}
    rows, columns = np.array(edges).T
    shape = (len(readable), len(readable))
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape)
    _, component = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for look, number in zip(readable, component.tolist(), strict=True):
        names.setdefault(number, look.path.name)
    return {
        look.path: f"{number} {names[number]}"
        for look, number in zip(readable, component.tolist(), strict=True)
    }
