"""Find nearly equal images: re-encoded, resized, brightened, turned or cropped.

A perceptual hash of 64 bits selects candidates, and the gradients of small thumbnails decide. The
dataset's mean gradient is taken away first, so that frames, bars and white backgrounds that many
images share do not make them alike. docs/benchmarks/duplicates.md has the figures behind the
limits.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

HASH_BITS = 64
MAX_HASH_DISTANCE = 12  # bits in which candidates may differ (ours); the gradients decide
MIN_SIMILARITY = 0.85  # ours
THUMBNAIL_SIDE = 16
MEAN_WEIGHT = (
    100  # ours: the mean counts half in a set of so many images, and hardly in a small one
)
_BLOCK = 5_000_000  # products of signs at once: 20 MB
_PART = 20_000  # candidates at once: 80 MB


class Fingerprint(NamedTuple):
    """A few hundred bytes to compare an image by.

    Attributes:
        bits: perceptual hash, one byte of 0 or 1 a bit.
        thumbnail: small gray image.
    """

    bits: UInt8[np.ndarray, " bits"]
    thumbnail: UInt8[np.ndarray, "side side"]


class SimilarPairs(NamedTuple):
    """Pairs of nearly equal images, by index.

    Similarity 1 means the same.

    Attributes:
        first: index of one image, smaller than ``second``.
        second: index of the other.
        similarity: correlation of their gradients.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    similarity: Float[np.ndarray, " pairs"]


def fingerprint(image: UInt8[np.ndarray, "height width 3"]) -> Fingerprint:
    """Hash an image's lowest frequencies, and keep a thumbnail."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    bits = (low > np.median(low[1:])).astype(np.uint8)  # the first coefficient is the brightness
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return Fingerprint(bits, np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA)))


def similar_pairs(
    fingerprints: list[Fingerprint], *, min_similarity: float = MIN_SIMILARITY
) -> SimilarPairs:
    """Pair the images that are nearly the same.

    Hashes are compared as +-1 vectors by matrix products: all pairs of 100,000 images take seconds.

    Args:
        fingerprints: of all images.
        min_similarity: least correlation of their gradients; 0.85 (ours).
    """
    if len(fingerprints) < 2:
        none = np.zeros(0, np.int64)
        return SimilarPairs(none, none, np.zeros(0, np.float32))
    signs = np.stack([print_.bits for print_ in fingerprints]).astype(np.float32) * 2 - 1
    units = _gradients(np.stack([print_.thumbnail for print_ in fingerprints]))

    # The product of two sign vectors counts bits alike minus bits different.
    least = HASH_BITS - 2 * MAX_HASH_DISTANCE
    found = []
    step = max(1, _BLOCK // len(signs))
    for start in range(0, len(signs), step):
        rows, columns = np.nonzero(signs[start : start + step] @ signs[start:].T >= least)
        later = rows < columns
        rows, columns = rows[later] + start, columns[later] + start
        for part in range(0, len(rows), _PART):
            first, second = rows[part : part + _PART], columns[part : part + _PART]
            similarity = np.einsum("ij,ij->i", units[first], units[second])
            alike = similarity >= min_similarity
            found.append((first[alike], second[alike], similarity[alike]))
    if not found:
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    return SimilarPairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _gradients(
    thumbnails: UInt8[np.ndarray, "images side side"],
) -> Float[np.ndarray, "images steps"]:
    """Take the steps between neighbors, as unit vectors.

    The common mean is subtracted. A flat image becomes zero and is like no other.
    """
    pixels = thumbnails.astype(np.float32)
    across = np.diff(pixels, axis=2).reshape(len(pixels), -1)
    down = np.diff(pixels, axis=1).reshape(len(pixels), -1)
    steps = np.concatenate([across, down], axis=1)
    flat = np.linalg.norm(steps, axis=1, keepdims=True) < 1
    steps -= steps.mean(axis=0) * (len(steps) / (len(steps) + MEAN_WEIGHT))
    steps[flat[:, 0]] = 0
    return steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-3)
