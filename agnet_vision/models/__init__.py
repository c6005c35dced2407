"""Feature map to logits: backbone, head, both. Pure torch."""

from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.head import AGNetHead

__all__ = ["AGNet", "AGNetHead", "load_model"]
