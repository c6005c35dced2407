"""The commands behind ``agnet`` and ``tools/``: the only room that knows Hydra."""
