"""Painted scenes differ in the mark alone."""

from __future__ import annotations

import json

import numpy as np

from agnet_vision.data.demo.marks import MARKS
from agnet_vision.data.demo.scene import paint_scene


def test_the_class_changes_the_mark_and_nothing_else():
    for stream in range(8):
        generators = [np.random.default_rng(stream) for _ in MARKS]
        pictures = np.stack(
            [
                paint_scene(rng, mark, image_size=96)
                for rng, mark in zip(generators, MARKS, strict=True)
            ]
        ).astype(int)
        assert len({json.dumps(rng.bit_generator.state, default=str) for rng in generators}) == 1
        rows, columns = np.nonzero((pictures.max(axis=0) - pictures.min(axis=0)).max(axis=-1))
        assert 0 < len(rows) < 0.05 * 96 * 96
        assert np.ptp(rows) < 0.3 * 96
        assert np.ptp(columns) < 0.3 * 96
