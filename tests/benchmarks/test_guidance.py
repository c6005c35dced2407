"""What the ideas of guided training do to a view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import EvaluationTransform
from agnet_vision.data.sources.listing import Sample
from agnet_vision.regions.proposer import RegionProposer
from benchmarks import guidance
from tests.data import miniatures

GREY = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> guidance.Source:
    """Four images of two classes."""
    folder, samples = tmp_path_factory.mktemp("source"), []
    for number in range(4):
        path = folder / f"{number}.png"
        miniatures.write_image(path, number, size=(120, 120))
        samples.append(Sample(path, number % 2))
    proposer = RegionProposer(num_clusters=3)
    paths = [sample.path for sample in samples]
    keypoints = RegionCache.build(paths, proposer, folder / "cache", workers=1, progress=False)
    transform = EvaluationTransform(96, GREY, GREY, crop_fraction=1.0)
    control = RegionProposer(source="random", num_clusters=3)
    return guidance.Source(samples, keypoints, transform, transform, proposer, control)


def views_of(idea: guidance.Idea, number: int) -> list[torch.Tensor]:
    """Return the views of a sample over some draws."""
    return [idea(number, np.random.default_rng(seed))[0][0] for seed in range(12)]


def test_plain_changes_nothing(source: guidance.Source) -> None:
    expected = source.plain(read_image(source.samples[0].path))[0]
    assert all(torch.equal(view, expected) for view in views_of(guidance.Idea(source), 0))


@pytest.mark.parametrize("name", ["drop", "drop at random", "exchange", "crop", "crop at random"])
def test_some_views_change(source: guidance.Source, name: str) -> None:
    plain = source.plain(read_image(source.samples[0].path))[0]
    changed = [not torch.equal(view, plain) for view in views_of(guidance.IDEAS[name](source), 0)]
    assert 0 < sum(changed) < 12


def test_drop_blanks_a_box(source: guidance.Source) -> None:
    plain = source.plain(read_image(source.samples[0].path))[0]
    for view in views_of(guidance.Drop(source), 0):
        rows, columns = (view != plain).any(dim=0).nonzero(as_tuple=True)
        if len(rows):
            box = view[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert (box == 0).all()


def test_exchange_takes_from_the_class(source: guidance.Source) -> None:
    assert guidance.Exchange(source).members == {0: [0, 2], 1: [1, 3]}


def test_added_view_comes_second(source: guidance.Source) -> None:
    plain = source.plain(read_image(source.samples[0].path))[0]
    first, second = guidance.Add(source)(0, np.random.default_rng(0))
    assert torch.equal(first[0], plain)
    assert not torch.equal(second[0], plain)


def test_importance_prefers_evidence(source: guidance.Source) -> None:
    """Evidence in a corner favors the regions there."""
    idea = guidance.Importance(source)
    matrix = np.array([[guidance.IMAGE_SIZE / 120, 0], [0, guidance.IMAGE_SIZE / 120], [0, 0]])
    evidence = torch.zeros(1, 5, 5)
    evidence[0, :2, :2] = 1
    idea.learn([0], [matrix], evidence)
    points = source.load(0)[1]
    boxes, mask = source.regions.draw_boxes([points], (120, 120), seeds=[0])
    found = boxes[0, :-1][mask[0, :-1]]
    corner = [
        np.clip(0.4 - box[:2], 0, None).prod() / np.ptp(box.reshape(2, 2), axis=0).prod()
        for box in found
    ]
    weights = idea.weights[0]
    assert weights[int(np.argmax(corner))] == weights.max()
