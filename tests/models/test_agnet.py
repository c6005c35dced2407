"""AGNet: the parameter counts, and the drop-in forward."""

from __future__ import annotations

import json

import pytest
import torch

from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import num_regions
from tests.conftest import random_regions

# Learnable parameters for ResNet-50, 10 classes, 8 clusters (method page):
#   backbone 23,508,032; self-attention 5,245,441; squeeze-excite 37 x 524,288 = 19,398,656;
#   pairwise 6,422,593; importance 100,353; classifier 2,049 + 4,096 + 20,490 = 26,635.
COUNTS = {
    "full": 23_508_032 + 5_245_441 + 19_398_656 + 6_422_593 + 100_353 + 26_635,
    "no_attention": 23_508_032 + 19_398_656 + 26_635,
    "backbone_only": 23_508_032 + 26_635,
}
# The paper's totals count Keras fashion: running statistics of the norms and biases of the
# convolutions as well.
KERAS_EXTRA = 53_120 + 4_096 + 26_560


@pytest.mark.parametrize(
    ("variant", "learnable", "keras"),
    [
        ("full", 54_701_710, 54_785_486),
        ("no_attention", 42_933_323, 43_017_099),
        ("backbone_only", 23_534_667, 23_618_443),
    ],
)
def test_parameter_count(variant: str, learnable: int, keras: int) -> None:
    with torch.device("meta"):
        model = AGNet("resnet50", num_classes=10, num_clusters=8, variant=variant)
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found == COUNTS[variant] == learnable
    statistics = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    assert statistics == 53_120 + 4_096
    assert learnable + KERAS_EXTRA == keras


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", num_classes=5, num_clusters=3, head_kwargs={"pool_size": 2}).eval()


def test_shape(model: AGNet) -> None:
    logits, attention = model(
        torch.randn(2, 3, 96, 64), random_regions(2, 3), return_attention=True
    )
    assert logits.shape == (2, 5)
    assert attention.importance.shape == (2, num_regions(3))
    assert attention.pairwise.shape == (2, num_regions(3), num_regions(3))


def test_proposes_regions_when_none_are_given(model: AGNet) -> None:
    """``forward(images)`` answers as with the regions of the proposer."""
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3)).round()
    torch.testing.assert_close(model(images), model(images, model.propose(images)))


def test_raises_on_class_names() -> None:
    with pytest.raises(ValueError, match="classes must name all 5 classes, got 2 names"):
        AGNet("test_resnet", num_classes=5, classes=("a", "b"))


def test_value_config() -> None:
    """The configuration survives JSON and rebuilds the same network."""
    proposer = RegionProposer(detector="orb", num_clusters=3)
    model = AGNet(
        "test_resnet", 2, num_clusters=3, taps=(-2,), classes=("a", "b"), proposer=proposer
    )
    rebuilt = AGNet.from_config(json.loads(json.dumps(model.config())))
    assert rebuilt.config() == model.config()
    assert rebuilt.data_config == model.data_config
    assert [p.shape for p in rebuilt.parameters()] == [p.shape for p in model.parameters()]


def test_raises_on_proposer() -> None:
    with pytest.raises(ValueError, match="proposer must have num_clusters=3, got 4"):
        AGNet("test_resnet", 2, num_clusters=3, proposer=RegionProposer(num_clusters=4))
