"""The two steps of every source: keypoints and boxes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from agnet_vision.regions.boxes import boxes_from_keypoints, grid_boxes, random_boxes
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints
from tests.regions.test_boxes import check_invariants, labeled_points
from tests.regions.test_keypoints import texture

SIZE = (200, 150)


def frames(count: int) -> list[Keypoints]:
    return [
        Keypoints(xy, np.ones(len(xy), np.float32), group)
        for xy, group in (labeled_points(seed, groups=5) for seed in range(count))
    ]


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
def test_boxes_of_a_batch_are_those_of_its_frames(source):
    proposer = pickle.loads(pickle.dumps(RegionProposer(source, num_clusters=5)))
    points = frames(4)
    boxes, mask = proposer.draw_boxes(points, SIZE, seeds=[1, 2, 3, [4, 5]])
    for number, seed in enumerate([1, 2, 3, [4, 5]]):
        check_invariants(boxes[number], mask[number], 5)
        alone, alone_mask = proposer.draw_boxes([points[number]], SIZE, seeds=[seed])
        np.testing.assert_array_equal(boxes[number], alone[0])
        np.testing.assert_array_equal(mask[number], alone_mask[0])


def test_value_boxes_of_each_source():
    points = frames(1)
    drawn = {
        source: RegionProposer(source, num_clusters=5).draw_boxes(points, SIZE, seeds=[7])[0][0]
        for source in ("keypoints", "grid", "random")
    }
    expected, _ = boxes_from_keypoints(points[0].xy, points[0].group, SIZE, 5)
    np.testing.assert_array_equal(drawn["keypoints"], expected)
    np.testing.assert_array_equal(drawn["grid"], grid_boxes(5)[0])
    np.testing.assert_array_equal(drawn["random"], random_boxes(5, np.random.default_rng(7))[0])


@pytest.mark.parametrize("source", ["keypoints", "grid", "random"])
def test_more_slots_than_groups_stay_empty(source):
    proposer = RegionProposer(source, num_clusters=5)
    boxes, mask = proposer.draw_boxes(frames(2), SIZE, seeds=[0, 1], num_clusters=8)
    for number in range(2):
        check_invariants(boxes[number], mask[number], 8)
        assert mask[number, :8].tolist() == [True] * 5 + [False] * 3


def test_only_keypoints_need_keypoints():
    image = texture(64, 80)
    assert RegionProposer().needs_keypoints
    assert len(RegionProposer().keypoints(image).xy) > 10
    for source in ("grid", "random"):
        assert not RegionProposer(source).needs_keypoints
        assert len(RegionProposer(source).keypoints(image).xy) == 0
