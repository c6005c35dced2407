from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.prepare.duplicates import MIN_SIMILARITY, fingerprint, similar_pairs


def noise(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def test_value_equals_a_slow_loop() -> None:
    images = [noise(seed) for seed in range(30)]
    images += [(noise(seed, 50) * 0.9 + 5).astype(np.uint8) for seed in range(20, 50)]
    prints = [fingerprint(image) for image in images]
    pairs = similar_pairs(prints)

    thumbnails = [print_.thumbnail.astype(np.float64) for print_ in prints]
    steps = [
        np.concatenate([np.diff(t, axis=1).ravel(), np.diff(t, axis=0).ravel()]) for t in thumbnails
    ]
    mean = sum(steps) / len(steps) * len(steps) / (len(steps) + 100)
    slow = []
    for i in range(60):
        for j in range(i + 1, 60):
            a, b = steps[i] - mean, steps[j] - mean
            correlation = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
            near = (prints[i].bits != prints[j].bits).sum() <= 12
            if near and correlation >= MIN_SIMILARITY:
                slow.append((i, j))
    assert sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == slow
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
    prints = [fingerprint(image) for image in [*images, change(images[7])]]
    pairs = similar_pairs(prints)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(7, 40)]


def test_a_shared_frame_makes_no_images_alike() -> None:
    prints = []
    for seed in range(200):
        image = np.full((80, 80, 3), 255, np.uint8)
        image[10:70, 10:70] = noise(seed, 60)
        prints.append(fingerprint(image))
    assert len(similar_pairs(prints).first) == 0


def test_flat_images_and_none() -> None:
    flat = [fingerprint(np.full((32, 32, 3), value, np.uint8)) for value in (0, 128, 255)]
    assert len(similar_pairs(flat).first) == 0
    assert len(similar_pairs([]).first) == 0
