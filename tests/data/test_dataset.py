from __future__ import annotations

import pickle
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.dataset import RegionDataset, collate
from agnet_vision.data.preprocessing import EvaluationTransform
from agnet_vision.data.sampler import SampleRequest as Request
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import training_transform
from agnet_vision.errors import ImageReadError
from agnet_vision.regions.boxes import boxes_from_keypoints, grid_boxes
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import num_regions
from tests.data.inputs import input_config

SIDE, KAPPA = 64, 3
AUGMENTED = training_transform(input_config(SIDE))
PLAIN = EvaluationTransform(input_config(SIDE, crop_mode="squash", crop_pct=1.0))


def test_boxes_are_those_of_the_moved_points(samples: list[Sample]) -> None:
    proposer = RegionProposer(num_clusters=KAPPA)
    dataset = RegionDataset(samples, PLAIN, proposer)
    image = cv2.cvtColor(cv2.imread(str(samples[0].path)), cv2.COLOR_BGR2RGB)
    points = proposer.keypoints(image)
    boxes, mask = boxes_from_keypoints(points.xy, points.group, (130, 100), KAPPA)
    item = dataset[0]
    # Squeezing to a square changes no fraction.
    np.testing.assert_allclose(item["boxes"], boxes, atol=1 / SIDE)
    assert item["mask"].tolist() == mask.tolist()
    assert item["image"].shape == (3, SIDE, SIDE)
    assert len(item["boxes"]) == num_regions(KAPPA)
    assert (dataset[1]["label"], dataset[1]["index"]) == (1, 1)
    assert dataset[Request(0, 2, counted=False)]["index"] == -1
    assert set(RegionDataset(samples, PLAIN)[0]) == {"image", "label", "index"}


def test_cache_gives_the_same_items(samples: list[Sample], tmp_path: Path) -> None:
    proposer = RegionProposer(num_clusters=KAPPA)
    cache = RegionCache.build(
        [s.path for s in samples], proposer, tmp_path, workers=1, progress=False
    )
    stored, fresh = (RegionDataset(samples, AUGMENTED, proposer, cache=c) for c in (cache, None))
    for index in range(len(samples)):
        for key, value in stored[Request(2, index)].items():
            expected = torch.as_tensor(fresh[Request(2, index)][key])
            torch.testing.assert_close(torch.as_tensor(value), expected, rtol=0, atol=0)


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
def test_value_batch_equals_its_items(samples: list[Sample], tmp_path: Path, source: str) -> None:
    blank, bad = tmp_path / "blank.png", tmp_path / "bad.jpg"
    cv2.imwrite(str(blank), np.zeros((30, 40, 3), np.uint8))
    bad.write_bytes(b"no image")
    dataset = RegionDataset(
        [Sample(blank, 0), samples[0], Sample(bad, 0), *samples[1:]],
        AUGMENTED,
        RegionProposer(source, num_clusters=KAPPA),
    )
    draws = [Request(1, index) for index in range(len(dataset))]
    batch = dataset.__getitems__(draws)
    assert isinstance(batch[2], ImageReadError)
    for draw, item in zip(draws, batch, strict=True):
        if draw.sample != 2:
            alone = dataset[draw]
            assert all(
                torch.equal(torch.as_tensor(item[key]), torch.as_tensor(alone[key]))
                for key in alone
            )
    if source == "keypoints":
        assert batch[0]["mask"].sum() == 1  # the whole image alone
        assert batch[1]["mask"].sum() > 1


def test_every_draw_is_augmented_differently(samples: list[Sample]) -> None:
    dataset = RegionDataset(samples, AUGMENTED)
    draws = [Request(0, 0), Request(1, 0), Request(1, 0, place=1), Request(1, 0, place=2)]
    images = [dataset[draw]["image"] for draw in draws]
    assert not any(torch.equal(*pair) for pair in combinations(images, 2))
    assert torch.equal(dataset[draws[2]]["image"], images[2])


def test_controls(samples: list[Sample]) -> None:
    grid = RegionDataset(samples, AUGMENTED, RegionProposer("grid", num_clusters=KAPPA))[0]
    np.testing.assert_array_equal(grid["boxes"], grid_boxes(KAPPA)[0])
    random = RegionDataset(samples, AUGMENTED, RegionProposer("random", num_clusters=KAPPA))
    assert not torch.equal(random[Request(0, 0)]["boxes"], random[Request(1, 0)]["boxes"])
    assert torch.equal(random[Request(1, 0)]["boxes"], random[Request(1, 0)]["boxes"])


def test_unreadable_file_takes_the_place_of_its_batch(
    samples: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    dataset = RegionDataset([*samples, Sample(tmp_path / "bad.jpg", 0)], AUGMENTED)
    error = pickle.loads(pickle.dumps(collate([dataset[0], dataset[4]])))
    assert isinstance(error, ImageReadError)
    assert "bad.jpg" in str(error)
