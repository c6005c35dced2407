"""Find pictures that are the same, or nearly the same, in two splits."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

HASH_BITS = 64
MAX_HASH_DISTANCE = 10  # ours: generous; the thumbnails decide
MIN_CORRELATION = 0.98  # ours: Stanford-40's own pairs above it are the same photograph, see docs/datasets.md
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
    """Pair up the nearly identical pictures of two splits, the most alike first.

    Hashes are compared as +-1 vectors by matrix products (75,000 x 25,000 in seconds); pairs within ``max_hash_distance``
    bits count when their thumbnails correlate by at least ``min_correlation``.
    """
    if not first or not second:
        return []
    signs_first, signs_second = _signs(first), _signs(second)
    least = HASH_BITS - 2 * max_hash_distance  # product of two sign vectors = bits alike - bits different
    pairs = []
    step = max(1, 20_000_000 // len(second))  # keeps a block of products under 80 MB
    for start in range(0, len(first), step):
        rows, columns = np.nonzero(signs_first[start : start + step] @ signs_second.T >= least)
        rows += start
        alike = _correlation(first, second, rows, columns)
        keep = alike >= min_correlation
        pairs += map(Pair, rows[keep].tolist(), columns[keep].tolist(), alike[keep].tolist())
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.first, pair.second))


def _signs(fingerprints: list[Fingerprint]) -> Float[np.ndarray, "pictures bits"]:
    """Turn bits into +1 and -1."""
    return np.stack([f.bits for f in fingerprints]).astype(np.float32) * 2 - 1


def _correlation(
    first: list[Fingerprint],
    second: list[Fingerprint],
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Correlate the thumbnails of candidate pairs; two flat pictures count as different."""
    alike = np.zeros(len(rows))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        a = first[row].thumbnail - first[row].thumbnail.mean()
        b = second[column].thumbnail - second[column].thumbnail.mean()
        alike[i] = a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-6)
    return alike
