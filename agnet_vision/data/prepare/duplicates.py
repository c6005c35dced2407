"""Find pictures that are the same, or nearly the same, in two splits."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

HASH_BITS = 64
MAX_HASH_DISTANCE = 10  # ours: generous; the thumbnails decide
MIN_CORRELATION = 0.96  # ours: on Stanford-40 all pairs above it are one photograph, the first below it (0.947) is not
THUMBNAIL_SIDE = 16


class Fingerprint(NamedTuple):
    """What is kept of a picture to compare it: a few hundred bytes.

    Attributes:
        bits: perceptual hash, one byte of 0 or 1 a bit.
        thumbnail: small grey picture.
    """

    bits: UInt8[np.ndarray, " bits"]
    thumbnail: UInt8[np.ndarray, " pixels"]


class Pair(NamedTuple):
    """Two pictures of two splits, by their row, and how alike they are (correlation of their thumbnails)."""

    first: int
    second: int
    correlation: float


def fingerprint(image: UInt8[np.ndarray, "height width 3"]) -> Fingerprint:
    """Hash a picture by the signs of its lowest frequencies; scale, recompression and brightness hardly change it."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    bits = (low > np.median(low[1:])).astype(np.uint8)  # the first coefficient is the brightness
    thumbnail = cv2.resize(small, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return Fingerprint(bits, thumbnail.ravel())


def near_duplicates(
    first: list[Fingerprint],
    second: list[Fingerprint],
    *,
    max_hash_distance: int = MAX_HASH_DISTANCE,
    min_correlation: float = MIN_CORRELATION,
) -> list[Pair]:
    """Pair every picture of the second split with the one of the first it nearly equals; the most alike come first.

    Hashes are compared as +-1 vectors by matrix products (75,000 x 25,000 in seconds); pairs within ``max_hash_distance``
    bits count when their thumbnails correlate by at least ``min_correlation``.
    """
    if not first or not second:
        return []
    signs_first, signs_second = _signs(first), _signs(second)
    units_first, units_second = _units(first), _units(second)
    least = (
        HASH_BITS - 2 * max_hash_distance
    )  # product of two sign vectors = bits alike - bits different
    best: dict[int, Pair] = {}
    step = max(1, 5_000_000 // len(second))  # a block of products stays under 20 MB
    for start in range(0, len(first), step):
        rows, columns = np.nonzero(signs_first[start : start + step] @ signs_second.T >= least)
        for part in range(0, len(rows), 50_000):
            row, column = rows[part : part + 50_000] + start, columns[part : part + 50_000]
            alike = np.einsum("ij,ij->i", units_first[row], units_second[column])
            for i in np.flatnonzero(alike >= min_correlation):
                pair = Pair(int(row[i]), int(column[i]), float(alike[i]))
                if pair.second not in best or pair.correlation > best[pair.second].correlation:
                    best[pair.second] = pair
    return sorted(best.values(), key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _signs(fingerprints: list[Fingerprint]) -> Float[np.ndarray, "pictures bits"]:
    """Turn bits into +1 and -1."""
    return np.stack([f.bits for f in fingerprints]).astype(np.float32) * 2 - 1


def _units(fingerprints: list[Fingerprint]) -> Float[np.ndarray, "pictures pixels"]:
    """Centre thumbnails and scale them to length 1; a flat picture becomes zero and is like no other."""
    pixels = np.stack([f.thumbnail for f in fingerprints]).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-3)
