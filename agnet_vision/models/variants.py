"""Every head by the name of its variant.

A new one is a file of its own and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from agnet_vision.models.head import AGNetHead

Variant = Literal["full", "no_attention", "backbone_only"]
VARIANTS: dict[str, Callable[..., AGNetHead]] = {
    "full": AGNetHead,  # the paper's network
    "no_attention": partial(AGNetHead, variant="no_attention"),  # its first ablation
    "backbone_only": partial(AGNetHead, variant="backbone_only"),  # its second ablation
}


def make_head(variant: str, in_channels: int, num_classes: int, **options: Any) -> AGNetHead:
    """Make the head of a variant.

    Args:
        variant: a name in ``VARIANTS``.
        in_channels: C of the feature map.
        num_classes: number of logits.
        options: of the head, such as ``num_clusters``.

    Raises:
        ValueError: the variant is unknown, or an option is out of bounds.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    return VARIANTS[variant](in_channels, num_classes, **options)
