"""Heads in which every part matters."""

from __future__ import annotations

import torch

from agnet_vision.models.head import AGNetHead

VARIANTS = ["full", "no_attention", "backbone_only"]


def fitted_head(variant: str) -> AGNetHead:
    """Build a head whose attention, self-attention and batch norm are away from their start."""
    torch.manual_seed(3)
    head = AGNetHead(12, 5, num_clusters=3, variant=variant, pool_size=3).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        head.classifier.norm.running_mean.normal_()
        head.classifier.norm.running_var.uniform_(0.5, 2)
    return head.eval()
