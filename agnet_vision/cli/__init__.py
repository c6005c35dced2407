"""The commands behind ``agnet`` and ``tools/``.

This folder is the only one that knows Hydra.
"""
