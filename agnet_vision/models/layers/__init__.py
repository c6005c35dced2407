"""The layers of AG-Net, one idea of the paper a file, in the order the data meets them."""

from agnet_vision.models.layers.classifier import MixedPoolClassifier
from agnet_vision.models.layers.region_attention import Attention, RegionAttention
from agnet_vision.models.layers.region_passes import project_regions, sum_regions
from agnet_vision.models.layers.region_pooling import pool_region_means, pool_regions
from agnet_vision.models.layers.self_attention import SelfAttention
from agnet_vision.models.layers.squeeze_excite import SlotSqueezeExcite

__all__ = [
    "Attention",
    "MixedPoolClassifier",
    "RegionAttention",
    "SelfAttention",
    "SlotSqueezeExcite",
    "pool_region_means",
    "pool_regions",
    "project_regions",
    "sum_regions",
]
