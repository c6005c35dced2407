"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""

from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.head import AGNetHead
from agnet_vision.models.timm import register_timm_models
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, Regions

__all__ = ["AGNet", "AGNetHead", "Keypoints", "RegionProposer", "Regions", "load_model"]

register_timm_models()  # timm.create_model("agnet_resnet50"), as docs/head.md says
