"""Training and evaluation.

Lightning connects what the rest of the package computes.
"""
