"""Small networks of the demo set, to start without downloads.

Each folder is what ``agnet train model=<folder>`` (seed 0) gives, in half precision, less its card:
``load_model(run).half().save_pretrained(folder)``.
"""

from __future__ import annotations

from pathlib import Path

from agnet_vision.models.agnet import AGNet, load_model

FOLDER = Path(__file__).parent


def demo_models() -> dict[str, AGNet]:
    """Load the networks that come with the package, by variant."""
    return {name: load_model(FOLDER / name) for name in ("full", "no_attention", "backbone_only")}
