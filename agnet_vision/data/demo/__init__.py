"""The painted demo set."""

from agnet_vision.data.demo.generate import generate_demo

__all__ = ["generate_demo"]
