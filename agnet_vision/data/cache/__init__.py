"""Labelled keypoints of a dataset, stored once."""
