"""The passes over region features equal the plain formulas.

In one piece and in many.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agnet_vision.models.layers import region_passes
from agnet_vision.models.layers.region_passes import project_regions, sum_regions
from agnet_vision.models.layers.region_pooling import pool_regions
from tests.conftest import random_regions

BATCH, REGIONS, CHANNELS, POOL_SIZE, OUTPUTS = 3, 7, 5, 3, 4


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A map, boxes, gates, a weight and coefficients.

    The map has uneven sides, and some slots are empty.
    """
    generator = torch.Generator().manual_seed(4)
    boxes = random_regions(BATCH, 3, masked=2).boxes.to(dtype)
    shapes = (
        (BATCH, CHANNELS, 4, 6),
        (BATCH, REGIONS, CHANNELS),
        (OUTPUTS, POOL_SIZE**2 * CHANNELS),
        (BATCH, REGIONS),
    )
    feature_map, gates, weight, coefficients = (
        torch.randn(s, generator=generator, dtype=dtype) for s in shapes
    )
    leaves = (feature_map, gates.sigmoid(), weight, coefficients)
    return boxes, *(leaf.requires_grad_() for leaf in leaves)


def outputs_and_gradients(outputs: list[Tensor], leaves: tuple[Tensor, ...]) -> list[Tensor]:
    loss = sum(
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() for output in outputs
    )
    return [*outputs, *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("bins_at_a_time", [1, 4, 9 * 2, 1000])
def test_value_plain_formulas(monkeypatch: pytest.MonkeyPatch, bins_at_a_time: int) -> None:
    """Results do not depend on how the batch is divided."""
    monkeypatch.setattr(region_passes, "PART_BYTES", bins_at_a_time * REGIONS * CHANNELS * 8)
    boxes, *leaves = inputs()
    feature_map, gates, weight, coefficients = leaves
    projected = project_regions(feature_map, boxes, gates, weight, POOL_SIZE)
    summed = sum_regions(feature_map, boxes, gates, coefficients, POOL_SIZE)
    features = pool_regions(feature_map, boxes, POOL_SIZE) * (1 + gates)[:, :, None]
    expected = [
        features.flatten(2) @ weight.T,
        torch.einsum("br,brnc->bnc", coefficients, features),
    ]
    results = outputs_and_gradients([projected, summed], tuple(leaves))
    torch.testing.assert_close(
        results, outputs_and_gradients(expected, tuple(leaves)), rtol=1e-12, atol=1e-12
    )


def test_gradient() -> None:
    boxes, feature_map, gates, weight, coefficients = inputs()
    one = slice(0, 1)  # the image with empty slots
    for function, last in ((project_regions, weight), (sum_regions, coefficients[one])):
        differentiable = (feature_map[one], gates[one], last)
        assert torch.autograd.gradcheck(
            lambda m, g, x, f=function: f(m, boxes[one], g, x, POOL_SIZE), differentiable
        )


def test_gradients_repeat_to_the_last_bit() -> None:
    results = []
    for _ in range(2):
        boxes, *leaves = inputs(torch.float32)
        feature_map, gates, weight, coefficients = leaves
        outputs = [
            project_regions(feature_map, boxes, gates, weight, POOL_SIZE),
            sum_regions(feature_map, boxes, gates, coefficients, POOL_SIZE),
        ]
        results.append(outputs_and_gradients(outputs, tuple(leaves)))
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


def test_raises_on_gradients_of_gradients() -> None:
    boxes, feature_map, gates, _, coefficients = inputs()
    summed = sum_regions(feature_map, boxes, gates, coefficients, POOL_SIZE)
    (gradient,) = torch.autograd.grad(summed.square().sum(), feature_map, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
