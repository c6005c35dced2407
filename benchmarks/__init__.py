"""Measurements behind the numbers in the documentation: ``python tools/benchmark.py``."""
