"""Labelled keypoints of a dataset, stored once."""

from agnet_vision.data.cache.store import RegionCache

__all__ = ["RegionCache"]
