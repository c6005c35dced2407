"""The layers of AG-Net, one idea per file."""

from agnet_vision.models.layers.classifier import (
    AttentionPoolClassifier,
    AveragePoolClassifier,
    MixedPoolClassifier,
)
from agnet_vision.models.layers.region_attention import Attention, RegionAttention, UniformAttention
from agnet_vision.models.layers.region_dropout import RegionDropout
from agnet_vision.models.layers.region_features import MapFeatures, RegionFeatures
from agnet_vision.models.layers.self_attention import SelfAttention
from agnet_vision.models.layers.squeeze_excite import SlotSqueezeExcite

__all__ = [
    "Attention",
    "AttentionPoolClassifier",
    "AveragePoolClassifier",
    "MapFeatures",
    "MixedPoolClassifier",
    "RegionAttention",
    "RegionDropout",
    "RegionFeatures",
    "SelfAttention",
    "SlotSqueezeExcite",
    "UniformAttention",
]
