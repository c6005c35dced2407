"""Slow plain-loop oracles, written from the paper's formulas.

They use none of the identities of the library, and no batches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agnet_vision.models.head import AGNetHead
from agnet_vision.structures import Regions


def project(feature_map: Tensor, layer) -> list[Tensor]:
    """Apply f, g and h of a self-attention.

    Their weights are stored too large.
    """
    return [
        torch.nn.functional.conv2d(feature_map, conv.weight * layer.scale, conv.bias).flatten(2)
        for conv in (layer.f, layer.g, layer.h)
    ]


def self_attention(feature_map: Tensor, layer) -> Tensor:
    """``F' = delta (h t) + F``, position by position."""
    output = feature_map.clone()
    for image in range(len(feature_map)):
        f, g, h = (projected[0] for projected in project(feature_map[image : image + 1], layer))
        for j in range(f.shape[1]):
            weights = torch.stack([f[:, i] @ g[:, j] for i in range(f.shape[1])]).softmax(0)
            gathered = sum(weights[i] * h[:, i] for i in range(f.shape[1]))
            output[image].view(len(h), -1)[:, j] += layer.delta * gathered
    return output


def bilinear(channel_map: Tensor, x: float, y: float) -> Tensor:
    """Sample (C, H, W) at continuous pixel coordinates.

    The center of cell j is at j + 0.5.
    """
    _, height, width = channel_map.shape
    x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    fx, fy = x - left, y - top
    upper = (1 - fx) * channel_map[:, top, left] + fx * channel_map[:, top, right]
    lower = (1 - fx) * channel_map[:, bottom, left] + fx * channel_map[:, bottom, right]
    return (1 - fy) * upper + fy * lower


def pool_region(channel_map: Tensor, box: Tensor, pool_size: int) -> Tensor:
    """(C, H, W) and one box -> (C, p, p)."""
    _, height, width = channel_map.shape
    x0, y0, x1, y1 = box.tolist()
    rows = []
    for i in range(pool_size):
        y = (y0 + (y1 - y0) * (i + 0.5) / pool_size) * height
        row = [
            bilinear(channel_map, (x0 + (x1 - x0) * (j + 0.5) / pool_size) * width, y)
            for j in range(pool_size)
        ]
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)


def squeeze_excite(pooled: Tensor, slot: int, layer) -> Tensor:
    """``SE_r(x) + x`` for (C, p, p)."""
    means = pooled.mean(dim=(1, 2))
    gate = torch.sigmoid(torch.relu(means @ layer.squeeze[slot]) @ layer.excite[slot])
    return gate[:, None, None] * pooled + pooled


def head_logits(head: AGNetHead, feature_map: Tensor, regions: Regions) -> Tensor:
    """Return the logits, forming every context vector."""
    mapped = self_attention(feature_map, head.self_attention)
    attention = head.region_attention
    w_own, w_other, w_score = (attention.project.weight * attention.scale).split(
        [attention.units, attention.units, 1]
    )
    pooled_descriptors = []
    for image in range(len(feature_map)):
        slots = [r for r in range(head.num_regions) if regions.mask[image, r]]
        phi = {}
        for r in slots:
            pooled = pool_region(mapped[image], regions.boxes[image, r], head.pool_size)
            phi[r] = squeeze_excite(pooled, r, head.squeeze_excite)
        flat = {r: phi[r].permute(1, 2, 0).flatten() for r in slots}  # row, column, channel
        alpha = {}
        for r in slots:
            context = torch.zeros_like(flat[r])
            for other in slots:
                u = torch.tanh(w_own @ flat[r] + w_other @ flat[other] + attention.pair_bias)
                m = torch.sigmoid(attention.pair_score.weight[0] @ u + attention.pair_score.bias[0])
                m = m / len(slots) if attention.normalize_context else m
                context = context + m * flat[other]
            alpha[r] = context
        scores = torch.stack(
            [w_score[0] @ alpha[r] + attention.importance_bias for r in slots]
        ).softmax(0)
        descriptor = sum(scores[k] * alpha[r] for k, r in enumerate(slots)).view(
            head.pool_size**2, -1
        )
        average, largest = descriptor.mean(0), descriptor.max(0).values
        omega = torch.sigmoid(head.classifier.mix.weight[0] @ average + head.classifier.mix.bias[0])
        pooled_descriptors.append(omega * largest + (1 - omega) * average)
    y = torch.stack(pooled_descriptors)
    return head.classifier.linear(head.classifier.norm(y))
