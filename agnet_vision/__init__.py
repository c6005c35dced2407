"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""

from agnet_vision.models import timm as timm  # registers agnet_* with timm
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from agnet_vision.models.hub import load_model
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, Regions

__all__ = ["AGNet", "AGNetHead", "Keypoints", "RegionProposer", "Regions", "load_model"]
