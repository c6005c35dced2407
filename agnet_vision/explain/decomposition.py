"""The logits of a head, taken apart exactly over regions, bins and cells.

Once the mix omega, the winners of the max pool and the attention are known, a logit is linear in
the region features: ``logit_k = bias_k + sum_r evidence_rk``. Nothing is approximated: the parts
add up to the logit. What is attributed is the *content* of a region; that another region would have
moved the attention is not seen by any additive attribution.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet_vision.models.head import AGNetHead
from agnet_vision.structures import Regions


class Decomposition(NamedTuple):
    """Logits of a batch as ``bias + evidence.sum(regions)``; ``Explanation`` describes the parts.

    Without attention w is uniform, and each region takes from itself alone.
    """

    bias: Float[Tensor, " classes"]
    evidence: Float[Tensor, "batch regions classes"]
    bins: Float[Tensor, "batch regions rows columns"]
    cells: Float[Tensor, "batch height width"]
    coefficients: Float[Tensor, "batch regions"]
    importance: Float[Tensor, "batch regions"]
    pairwise: Float[Tensor, "batch regions regions"]


def decompose(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
    target: Int[Tensor, " batch"],
) -> Decomposition:
    """Take the logits of a head in evaluation mode apart, exactly.

    The head of ``backbone_only`` counts as one region with the map's cells as bins.

    Args:
        target: class of each image whose bins and cells are wanted.

    Raises:
        ValueError: the head is in training mode, where batch norm makes images depend on each
            other, or has no classes.
    """
    if head.training:
        raise ValueError(
            "the head must be in evaluation mode to be taken apart; call model.eval() first"
        )

    features, attention = head.describe(feature_map, regions)
    coefficients = attention.coefficients
    parts = coefficients[:, :, None, None] * features.dense()

    weight, bias = head.classifier.folded()
    share = head.classifier.share(parts.sum(dim=1))
    evidence = torch.einsum("brnc,bnc,kc->brk", parts, share, weight)
    per_channel = share * weight[target][:, None]  # (batch, bins, channels)
    bins = torch.einsum("brnc,bnc->brn", parts, per_channel)
    cells = features.share_among_cells(coefficients, per_channel).sum(dim=-1)

    return Decomposition(
        bias,
        evidence,
        bins.unflatten(2, features.grid),
        cells,
        coefficients,
        attention.importance,
        attention.pairwise,
    )
