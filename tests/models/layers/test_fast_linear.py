"""The product is the same by either library."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from agnet_vision.models.layers import fast_linear as module
from agnet_vision.models.layers.fast_linear import fast_linear


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("avx512", [True, False])
def test_value_equals_linear(has_bias: bool, avx512: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HAS_AVX512", avx512)
    torch.manual_seed(0)
    inputs, weight = torch.randn(2, 5, 7), torch.randn(3, 7)
    bias = torch.randn(3) if has_bias else None
    with torch.no_grad():
        found = fast_linear(inputs, weight, bias)
    assert found.shape == (2, 5, 3)
    torch.testing.assert_close(found, linear(inputs, weight, bias))


def test_only_plain_predictions_are_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HAS_AVX512", True)

    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("convolution")

    monkeypatch.setattr(module, "conv1d", refuse)
    inputs, weight = torch.randn(1, 2, 4), torch.randn(3, 4, requires_grad=True)
    fast_linear(inputs, weight).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        fast_linear(inputs.double(), weight.double())
        with torch.autocast("cpu", torch.bfloat16):
            assert fast_linear(inputs, weight).dtype == torch.bfloat16
        with pytest.raises(AssertionError, match="convolution"):
            fast_linear(inputs, weight)
