"""Image to boxes: keypoints, groups, regions; once per image, on the CPU."""

from agnet_vision.regions.boxes import boxes_from_keypoints, grid_boxes, random_boxes
from agnet_vision.regions.grouping import group_points
from agnet_vision.regions.keypoints import detect
from agnet_vision.regions.proposer import RegionProposer

__all__ = [
    "RegionProposer",
    "boxes_from_keypoints",
    "detect",
    "grid_boxes",
    "group_points",
    "random_boxes",
]
