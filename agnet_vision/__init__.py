"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""

from agnet_vision import timm_models as timm_models  # registers agnet_* with timm
from agnet_vision.head import AGNetHead
from agnet_vision.hub import load_model
from agnet_vision.model import AGNet
from agnet_vision.regions import RegionProposer
from agnet_vision.structures import Keypoints, Regions

__all__ = ["AGNet", "AGNetHead", "Keypoints", "RegionProposer", "Regions", "load_model"]
