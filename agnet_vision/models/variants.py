"""What each variant of the head is made of.

A new one is a line here and a name in ``Variant``; its parts take what the paper's take.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch.nn import Identity, Module

from agnet_vision.models.layers import (
    RegionAttention,
    SelfAttention,
    SlotSqueezeExcite,
    UniformAttention,
)

Variant = Literal["full", "no_attention", "backbone_only"]


class Parts(NamedTuple):
    """The classes of a head's layers, in the paper's order.

    A layer that a variant lacks is one that changes nothing.
    """

    needs_regions: bool
    self_attention: type[Module]
    squeeze_excite: type[Module]
    region_attention: type[RegionAttention | UniformAttention]


VARIANTS: dict[str, Parts] = {
    "full": Parts(True, SelfAttention, SlotSqueezeExcite, RegionAttention),  # the paper's network
    "no_attention": Parts(True, Identity, SlotSqueezeExcite, UniformAttention),  # its ablation
    "backbone_only": Parts(False, Identity, Identity, UniformAttention),  # another of its ablations
}


def parts_of(variant: str) -> Parts:
    """Look up a variant.

    Raises:
        ValueError: there is none of this name.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    return VARIANTS[variant]
