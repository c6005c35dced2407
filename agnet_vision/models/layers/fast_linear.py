"""A linear layer by the faster of two libraries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d, linear

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


def fast_linear(
    inputs: Float[Tensor, "batch rows features"],
    weight: Float[Tensor, "outputs features"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "batch rows outputs"]:
    """Compute ``inputs @ weight.T + bias``, without gradients as a convolution.

    A convolution with kernels as long as its input is the same product. PyTorch hands a linear
    layer to MKL and a convolution to oneDNN, which with AVX-512 needs half the time (AMD Zen 5),
    but longer than MKL without it and in the backward pass.
    """
    plain = HAS_AVX512 and inputs.device.type == "cpu" and inputs.dtype == torch.float32
    if not plain or torch.is_autocast_enabled("cpu"):
        return linear(inputs, weight, bias)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return linear(inputs, weight, bias)
    outputs = conv1d(inputs.flatten(0, 1)[:, None], weight[:, None], bias)
    return outputs.view(*inputs.shape[:2], len(weight))
