"""The method as one would first write it, equation by equation.

``AGNetHead`` computes the same numbers faster (``layers`` say how); the tests hold it against this
file, and the benchmark says what the difference is worth. Sections and symbols are the paper's:
Bera, Wharton, Liu, Bessis, Behera, *Attend and Guide (AG-Net)*, IEEE TIP 30, 2021. ``(B, R, C, p,
p)`` are batch, region slots, channels and the pooled grid. Two of our layers store their weights
larger than they use them and scale back (``layer.scale``), which the optimizer sees and the result
does not.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate
from torchvision.ops import roi_align

from agnet_vision.models.head import AGNetHead
from agnet_vision.models.layers import (
    MixedPoolClassifier,
    RegionAttention,
    SelfAttention,
    SlotSqueezeExcite,
)
from agnet_vision.structures import Regions


def logits(
    head: AGNetHead, feature_map: Float[Tensor, "batch channels height width"], regions: Regions
) -> Float[Tensor, "batch classes"]:
    """Compute what ``head(feature_map, regions)`` computes, for ``variant="full"``."""
    if not (
        isinstance(head.self_attention, SelfAttention)
        and isinstance(head.squeeze_excite, SlotSqueezeExcite)
        and isinstance(head.region_attention, RegionAttention)
        and isinstance(head.classifier, MixedPoolClassifier)
    ):
        raise ValueError("head must have all layers of variant=full, and pooling=mixed")

    feature_map = attend_to_positions(head.self_attention, head.projection(feature_map))
    x = pool_regions(feature_map, regions.boxes, head.pool_size, head.upsample)
    phi = gate_channels(head.squeeze_excite, x)
    flat = phi.permute(0, 1, 3, 4, 2).flatten(2)  # (B, R, D): row, column, channel

    m = pairwise_attention(head.region_attention, flat, regions.mask)
    alpha = m @ flat  # alpha_r = sum_r' m_rr' phi_r', the context of each region
    w = importance(head.region_attention, alpha, regions.mask)
    f = (w[:, :, None] * alpha).sum(dim=1)  # f = sum_r w_r alpha_r, the image descriptor
    return classify(head.classifier, f.unflatten(1, (head.pool_size**2, -1)))


def attend_to_positions(
    layer: SelfAttention, feature_map: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """Apply self-attention, section III-B.

    ``F' = delta * (h t) + F`` with ``t = softmax(f^T g)``.
    """
    f, g, h = (
        conv2d(feature_map, conv.weight * layer.scale, conv.bias).flatten(2)
        for conv in (layer.f, layer.g, layer.h)
    )
    t = torch.bmm(f.transpose(1, 2), g).softmax(dim=1)  # (B, positions i, positions j), over i
    gathered = torch.bmm(h, t).view_as(feature_map)
    return layer.delta * gathered + feature_map


def pool_regions(
    feature_map: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "batch regions 4"],
    pool_size: int,
    upsample: int | None = None,
) -> Float[Tensor, "batch regions channels rows columns"]:
    """Pool the regions, section III-C.

    Every box is sampled at the centers of a p x p grid, bilinearly, of the map or the enlarged map.
    """
    if upsample is not None:
        feature_map = interpolate(feature_map, (upsample, upsample), mode="bilinear")
    batch, _, height, width = feature_map.shape
    in_cells = boxes * boxes.new_tensor([width, height, width, height])
    pooled = roi_align(feature_map, list(in_cells), pool_size, sampling_ratio=1, aligned=True)
    return pooled.unflatten(0, (batch, boxes.shape[1]))


def gate_channels(
    layer: SlotSqueezeExcite, x: Float[Tensor, "batch regions channels rows columns"]
) -> Float[Tensor, "batch regions channels rows columns"]:
    """Gate the channels of each region, section III-C.

    ``phi_r = SE_r(x_r) + x_r``, each region slot with a block of its own.
    """
    phi = []
    for region, squeeze, excite in zip(x.unbind(1), layer.squeeze, layer.excite, strict=True):
        mean = region.mean(dim=(2, 3))
        gate = torch.sigmoid(torch.relu(mean @ squeeze) @ excite)
        phi.append(gate[:, :, None, None] * region + region)
    return torch.stack(phi, dim=1)


def pairwise_attention(
    layer: RegionAttention,
    phi: Float[Tensor, "batch regions features"],
    mask: Bool[Tensor, "batch regions"],
) -> Float[Tensor, "batch regions regions"]:
    """Compute how much region r takes from r', section III-D.

    ``u_rr' = tanh(W phi_r + W' phi_r' + b)``, ``m_rr' = sigmoid(w . u_rr' + b_m)``.
    """
    own, other, _ = _weights(layer)
    u = torch.tanh((phi @ own.T)[:, :, None] + (phi @ other.T)[:, None] + layer.pair_bias)
    m = torch.sigmoid(layer.pair_score(u)).squeeze(-1)
    m = m * (mask[:, :, None] & mask[:, None])  # empty slots neither take nor give
    return m / mask.sum(dim=1)[:, None, None] if layer.normalize_context else m


def importance(
    layer: RegionAttention,
    alpha: Float[Tensor, "batch regions features"],
    mask: Bool[Tensor, "batch regions"],
) -> Float[Tensor, "batch regions"]:
    """Weigh the regions, section III-D.

    ``w_r = softmax over r of (W_a . alpha_r + b_a)``, zero for empty slots.
    """
    _, _, score = _weights(layer)
    scores = (alpha @ score.T).squeeze(-1) + layer.importance_bias
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)


def classify(
    layer: MixedPoolClassifier, f: Float[Tensor, "batch bins channels"]
) -> Float[Tensor, "batch classes"]:
    """Classify the image descriptor, section III-E.

    ``y = omega GMP(f) + (1 - omega) GAP(f)``, batch norm, linear layer.
    """
    average, largest = f.mean(dim=1), f.amax(dim=1)
    omega = torch.sigmoid(layer.mix(average))
    y = omega * largest + (1 - omega) * average
    return layer.linear(layer.dropout(layer.norm(y)))


def _weights(layer: RegionAttention) -> tuple[Tensor, ...]:
    """Return W, W' and W_a, stored as one matrix."""
    return (layer.project.weight * layer.scale).split([layer.units, layer.units, 1])
