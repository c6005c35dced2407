"""The last layer of a network, fitted again to what it sees, which is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

MAX_STEPS = 100  # of L-BFGS


@dataclass(frozen=True)
class Layer:
    """The last layer of a network."""

    weight: Float[Tensor, "classes channels"]
    bias: Float[Tensor, " classes"]

    def logits(
        self, embedding: Float[Tensor, "images channels"]
    ) -> Float[Tensor, "images classes"]:
        """Classify embeddings."""
        return embedding @ self.weight.T + self.bias


def fit_layer(
    start: Layer,
    embedding: Float[Tensor, "images channels"],
    label: Int[Tensor, " images"],
    penalty: Callable[[Layer], Tensor],
    *,
    label_smoothing: float,
) -> Layer:
    """Fit a last layer to cross-entropy plus a penalty, by L-BFGS.

    Args:
        start: layer to begin with.
        embedding: what the layer sees of each image.
        label: true class.
        penalty: what a layer costs beside its errors.
        label_smoothing: as in training.
    """
    layer = Layer(start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_())
    optimizer = torch.optim.LBFGS(
        [layer.weight, layer.bias],
        max_iter=MAX_STEPS,
        tolerance_grad=1e-5,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(layer.logits(embedding), label, label_smoothing=label_smoothing)
        loss = loss + penalty(layer)
        loss.backward()
        return loss.item()

    optimizer.step(closure)
    return Layer(layer.weight.detach(), layer.bias.detach())
