"""The proposer on images of every kind."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import torch

from agnet_vision.regions.proposer import RegionProposer
from tests.regions.test_boxes import check_invariants
from tests.regions.test_keypoints import texture


def images_of_all_kinds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    dot = np.zeros((100, 130, 3), np.uint8)
    dot[50:53, 40:43] = 255
    row = np.zeros((60, 200, 3), np.uint8)
    row[28:32, 10::12] = 255
    return {
        "blank": np.zeros((64, 64, 3), np.uint8),
        "one color": np.full((50, 70, 3), 137, np.uint8),
        "1x1": np.zeros((1, 1, 3), np.uint8),
        "1x500": rng.integers(0, 256, (1, 500, 3), dtype=np.uint8),
        "500x1": rng.integers(0, 256, (500, 1, 3), dtype=np.uint8),
        "12 megapixels": np.kron(
            rng.integers(0, 256, (30, 40, 3), dtype=np.uint8), np.ones((100, 100, 1), np.uint8)
        ),
        "checkerboard": np.repeat(
            (np.indices((160, 160)).sum(0) // 16 % 2 * 255).astype(np.uint8)[..., None], 3, axis=2
        ),
        "noise": rng.integers(0, 256, (200, 150, 3), dtype=np.uint8),
        "one dot": dot,
        "row of dots": row,
        "not contiguous": texture(200, 160)[::2, ::-1],
        "gray": texture(90, 60)[..., 0],
        "rgba": np.concatenate([texture(90, 60), np.zeros((60, 90, 1), np.uint8)], axis=2),
        "photo-like": texture(224, 224, 4),
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"detector": "orb"}, {"detector": "dense"}, {"grouping": "sklearn"}, {"source": "random"}],
)
def test_unbreakable_and_independent_of_the_batch(options):
    proposer, images = RegionProposer(**options), images_of_all_kinds()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = proposer(list(images.values()))
    names = list(images)
    backwards = proposer([images[name] for name in reversed(names)])
    for index, name in enumerate(names):
        check_invariants(together.boxes[index].numpy(), together.mask[index].numpy(), 8)
        assert torch.equal(together.boxes[index], backwards.boxes[len(names) - 1 - index]), name
        assert torch.equal(together.boxes[index], proposer([images[name]]).boxes[0]), name


def test_shape_and_types():
    regions = RegionProposer(num_clusters=3)([texture(40, 30), texture(64, 80)])
    assert regions.boxes.shape == (2, 7, 4)
    assert regions.boxes.dtype == torch.float32
    assert regions.mask.dtype == torch.bool
    assert RegionProposer()([]).boxes.shape == (0, 37, 4)
    points = RegionProposer().keypoints(texture(64, 80))
    assert points.xy.dtype == np.float32
    assert points.group.dtype == np.int64
    assert len(points.xy) == len(points.response) == len(points.group)


def test_value_settings_round_trip():
    proposer = RegionProposer(detector="orb", num_clusters=5, seed=3)
    stored = json.loads(json.dumps(proposer.settings()))
    assert RegionProposer.from_settings(stored).settings() == proposer.settings()
    assert pickle.loads(pickle.dumps(proposer)).settings() == proposer.settings()
    assert "opencv" in stored["versions"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'clusters'"):
        RegionProposer.from_settings({"clusters": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "saliency"}, "source must be one of keypoints, grid, random, got 'saliency'"),
        ({"detector": "surf"}, "detector must be one of sift, orb, akaze, dense, got 'surf'"),
        ({"num_clusters": 0}, r"num_clusters must be a whole number in \[1, 64\], got 0"),
        ({"grouping": "kmeans"}, "grouping must be one of"),
        ({"keep_fraction": 0.0}, r"keep_fraction must be a number in \[0.001, 1\], got 0.0"),
    ],
)
def test_raises_options(options, message):
    with pytest.raises(ValueError, match=message):
        RegionProposer(**options)


def test_raises_wrong_images():
    proposer = RegionProposer()
    with pytest.raises(ValueError, match=r"pass \[image\]"):
        proposer(texture(40, 40))
    with pytest.raises(TypeError, match="uint8, got float32"):
        proposer([np.zeros((9, 9, 3), np.float32)])
    with pytest.raises(TypeError, match="uint8, got Tensor"):
        proposer([torch.zeros(3, 9, 9)])
