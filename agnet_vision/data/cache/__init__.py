"""Labeled keypoints of a dataset, stored once."""
