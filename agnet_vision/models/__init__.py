"""Feature map to logits: backbone, head, and the two together. Pure torch."""

from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from agnet_vision.models.hub import load_model

__all__ = ["AGNet", "AGNetHead", "load_model"]
