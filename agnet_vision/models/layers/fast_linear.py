"""A linear layer that takes the faster of PyTorch's two libraries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d, linear

from agnet_vision.models.layers.region_pooling import is_plain_prediction

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


def fast_linear(
    inputs: Float[Tensor, "batch rows features"],
    weight: Float[Tensor, "outputs features"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "batch rows outputs"]:
    """Compute ``inputs @ weight.T + bias``; undifferentiated as a convolution with kernels as long as its input.

    Both are the same product. PyTorch hands the one to MKL and the other to oneDNN, which with AVX-512 needs half the time
    (AMD Zen 5), but longer than MKL without it and in the backward pass.
    """
    if not (HAS_AVX512 and is_plain_prediction(inputs)):
        return linear(inputs, weight, bias)
    return conv1d(inputs.flatten(0, 1)[:, None], weight[:, None], bias).view(
        *inputs.shape[:2], len(weight)
    )
