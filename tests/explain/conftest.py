"""Images of blocks, and heads in which every part matters."""

from __future__ import annotations

import numpy as np
import torch

from agnet_vision.models.head import AGNetHead

VARIANTS = ["full", "no_attention", "backbone_only"]


def photograph(seed: int = 0, height: int = 90, width: int = 140) -> np.ndarray:
    """Draw an image of colored blocks, whose corners are keypoints."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (height // 5, width // 5, 3), dtype=np.uint8)
    return blocks.repeat(5, 0).repeat(5, 1)


def fitted_head(variant: str) -> AGNetHead:
    """Build a head whose parts are away from their start.

    These are attention, self-attention and batch norm.
    """
    torch.manual_seed(3)
    head = AGNetHead(12, 5, num_clusters=3, variant=variant, pool_size=3).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        head.classifier.norm.running_mean.normal_()
        head.classifier.norm.running_var.uniform_(0.5, 2)
    return head.eval()
