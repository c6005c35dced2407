"""AGNetHead: the invariants of the method, and its errors.

Its values are in ``test_reference``.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn

from agnet_vision.choices import Variant
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import VARIANTS, AGNetHead, Parts
from agnet_vision.models.layers import RegionAttention, SelfAttention
from agnet_vision.structures import Regions
from tests.conftest import random_regions

CHANNELS, CLUSTERS = 32, 3


def trained_head(**options: Any) -> AGNetHead:
    """A head away from its neutral start, in evaluation mode."""
    torch.manual_seed(0)
    head = AGNetHead(CHANNELS, 5, num_clusters=CLUSTERS, pool_size=3, **options)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return head.eval()


@pytest.fixture
def feature_map() -> torch.Tensor:
    return torch.randn(3, CHANNELS, 4, 6, generator=torch.Generator().manual_seed(2))


def test_batch_of_one_equals_the_same_image_among_many(feature_map: torch.Tensor) -> None:
    """An image with masked slots and its neighbors stay apart."""
    head, regions = trained_head(), random_regions(3, CLUSTERS, masked=5)
    together = head(feature_map, regions)
    for i in range(3):
        alone = head(feature_map[i : i + 1], regions[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-5)


def test_whatever_lies_in_a_masked_slot_is_ignored(feature_map: torch.Tensor) -> None:
    head, regions = trained_head(), random_regions(3, CLUSTERS, masked=2)
    for content in (0.7, -3.0, torch.nan):
        boxes = regions.boxes.clone()
        boxes[0, :2] = content
        torch.testing.assert_close(
            head(feature_map, Regions(boxes, regions.mask)), head(feature_map, regions)
        )


def test_only_the_whole_image(feature_map: torch.Tensor) -> None:
    """Without keypoints the whole image alone is classified."""
    head = trained_head()
    regions = random_regions(3, CLUSTERS, masked=head.num_regions - 1)
    logits, attention = head(feature_map, regions, return_attention=True)
    assert logits.isfinite().all()
    assert attention.importance[0].tolist() == [0.0] * (head.num_regions - 1) + [1.0]


def test_gradient_reaches_every_parameter(feature_map: torch.Tensor) -> None:
    """Two steps, because delta starts at zero.

    Two parameters the paper counts can learn nothing, by algebra: each adds one number to all the
    scores of a softmax.
    """
    torch.manual_seed(0)
    head = AGNetHead(CHANNELS, 5, num_clusters=CLUSTERS, pool_size=3)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            head(feature_map, random_regions(3, CLUSTERS)), torch.tensor([0, 1, 2])
        )
        loss.backward()
        optimizer.step()
    steepest = {
        name: float(p.grad.abs().max()) if p.grad is not None else 0.0
        for name, p in head.named_parameters()
    }
    threshold = 1e-5 * max(steepest.values())
    silent = {name for name, gradient in steepest.items() if gradient < threshold}
    assert silent == {"region_attention.importance_bias", "self_attention.f.bias"}


def test_raises_on_input(feature_map: torch.Tensor) -> None:
    head, regions = trained_head(), random_regions(3, CLUSTERS)
    with pytest.raises(ValueError, match=r"feature_map must be \(B, 32, H, W\)"):
        head(feature_map[:, :7], regions)
    with pytest.raises(ValueError, match="needs regions"):
        head(feature_map)
    with pytest.raises(ValueError, match="num_clusters=3"):
        head(feature_map, random_regions(3, 4))
    with pytest.raises(ValueError, match="mask bool"):
        head(feature_map, Regions(regions.boxes, regions.mask.float()))
    with pytest.raises(ValueError, match=r"variant must be one of full, no_attention, .* 'fulll'"):
        AGNetHead(CHANNELS, 5, variant="fulll")
    with pytest.raises(ValueError, match=r"pooling must be one of mixed, .* got 'max'"):
        AGNetHead(CHANNELS, 5, pooling="max")
    with pytest.raises(ValueError, match=r"upsample must be a whole number in \[1, 256\], got 0"):
        AGNetHead(CHANNELS, 5, upsample=0)
    with pytest.raises(ValueError, match="no attention to return"):
        AGNetHead(CHANNELS, 5, variant="backbone_only", pool_size=3)(
            feature_map, return_attention=True
        )


@pytest.mark.parametrize("variant", ["full", "no_attention", "backbone_only"])
@pytest.mark.parametrize("gradients", [True, False])
def test_value_describe(variant: str, gradients: bool, feature_map: torch.Tensor) -> None:
    """The described features and attention give the logits."""
    torch.manual_seed(0)
    head = AGNetHead(CHANNELS, 5, num_clusters=CLUSTERS, variant=variant, pool_size=3).eval()
    regions = random_regions(3, CLUSTERS, masked=2)
    with torch.set_grad_enabled(gradients):
        features, attention = head.describe(feature_map, regions)
        descriptor = torch.einsum("br,brnc->bnc", attention.coefficients, features.dense())
        logits, expected = head(feature_map, regions), head.classifier(descriptor)
    assert logits.shape == (3, 5)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert head.needs_regions == (variant != "backbone_only")
    assert head.has_attention == (variant == "full")


@pytest.mark.parametrize("variant", ["full", "no_attention", "backbone_only"])
def test_value_a_narrow_head_is_one_on_the_projected_map(
    variant: str, feature_map: torch.Tensor
) -> None:
    torch.manual_seed(0)
    options = {"num_clusters": CLUSTERS, "variant": variant, "pool_size": 3}
    head = AGNetHead(CHANNELS, 5, width=2, **options).eval()
    inner = AGNetHead(2, 5, **options).eval()
    inner.load_state_dict(
        {name: value for name, value in head.state_dict().items() if "projection" not in name}
    )
    regions = random_regions(3, CLUSTERS, masked=2)
    expected = inner(head.projection(feature_map), regions)
    torch.testing.assert_close(head(feature_map, regions), expected)
    features, _ = head.describe(feature_map, regions)
    assert features.dense().shape[-1] == 2
    assert head(feature_map, regions, pre_logits=True).shape == (3, 2)


@pytest.mark.parametrize("variant", ["full", "no_attention"])
def test_a_dropped_region_is_one_that_the_image_lacks(
    variant: str, feature_map: torch.Tensor
) -> None:
    """Logits and gradients are those of the same image with fewer regions."""
    head = trained_head(variant=variant, region_dropout=0.5)
    boxes, mask = random_regions(3, CLUSTERS, masked=2)
    head.region_dropout.train()
    torch.manual_seed(1)
    logits = head(feature_map, Regions(boxes, mask))
    torch.manual_seed(1)
    kept = head.region_dropout(Regions(boxes, mask)).mask
    assert kept.sum() < mask.sum()
    torch.testing.assert_close(logits, head.eval()(feature_map, Regions(boxes, kept)))


def test_value_pre_logits(feature_map: torch.Tensor) -> None:
    head, regions = trained_head(), random_regions(3, CLUSTERS)
    embedding = head(feature_map, regions, pre_logits=True)
    assert embedding.shape == (3, CHANNELS)
    torch.testing.assert_close(head.classifier.linear(embedding), head(feature_map, regions))


def test_a_variant_joins_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name makes, trains, describes and rebuilds it."""
    assert get_args(Variant) == tuple(VARIANTS)
    ungated = Parts(True, SelfAttention, nn.Identity, RegionAttention)
    monkeypatch.setitem(VARIANTS, "ungated", ungated)
    model = AGNet("test_resnet", 3, num_clusters=2, variant="ungated")
    logits = model(torch.randn(2, 3, 160, 160), random_regions(2, 2))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert model.head.has_attention
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    rebuilt = AGNet.from_config(model.config())
    assert isinstance(rebuilt.head.squeeze_excite, nn.Identity)
    assert [p.shape for p in rebuilt.parameters()] == [p.shape for p in model.parameters()]


def test_gradient(feature_map: torch.Tensor) -> None:
    """Finite differences, through logits and attention, with empty slots."""
    torch.manual_seed(0)
    head = AGNetHead(4, 2, num_clusters=2, pool_size=2, attention_units=2).double().eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    boxes, mask = random_regions(2, 2, masked=1)
    names, parameters = zip(
        *head.region_attention.named_parameters(prefix="region_attention"), strict=True
    )

    def outputs(feature_map: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, ...]:
        arguments = (feature_map, Regions(boxes.double(), mask), True)
        logits, attention = torch.func.functional_call(
            head, dict(zip(names, parameters, strict=True)), arguments
        )
        return logits, *attention

    feature_map = feature_map[:2, :4, :2, :3].double().requires_grad_()
    assert torch.autograd.gradcheck(outputs, (feature_map, *parameters))


@pytest.mark.parametrize("variant", ["full", "no_attention"])
def test_boxes_get_gradients(variant: str, feature_map: torch.Tensor) -> None:
    head = AGNetHead(CHANNELS, 5, num_clusters=CLUSTERS, variant=variant, pool_size=3).eval()
    boxes, mask = random_regions(3, CLUSTERS)
    logits = head(feature_map, Regions(boxes.requires_grad_(), mask))
    torch.testing.assert_close(
        logits, head(feature_map, Regions(boxes.detach(), mask)), atol=1e-5, rtol=1e-5
    )
    (gradient,) = torch.autograd.grad(logits.square().sum(), boxes)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("gradients", [True, False])
def test_empty_batch(feature_map: torch.Tensor, gradients: bool) -> None:
    boxes, mask = random_regions(3, CLUSTERS)
    with torch.set_grad_enabled(gradients):
        logits = trained_head()(feature_map[:0], Regions(boxes[:0], mask[:0]))
    assert logits.shape == (0, 5)
