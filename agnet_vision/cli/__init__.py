"""The commands of ``agnet``, which alone know Hydra."""
