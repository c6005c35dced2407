"""Small networks of the demo set, to start without downloads.

Each folder is what ``agnet train model=<folder>`` (seed 0) gives, in half precision, less its card:
``load_model(run).half().save_pretrained(folder)``.
"""

from __future__ import annotations

from pathlib import Path

from agnet_vision.errors import CheckpointError
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.checkpoint import CONFIG


def demo_models() -> dict[str, AGNet]:
    """Load the networks that come with the package, by variant.

    Raises:
        CheckpointError: there is none in this installation.
    """
    folders = sorted(path.parent for path in Path(__file__).parent.glob(f"*/{CONFIG}"))
    if not folders:
        raise CheckpointError(
            "this installation has no demo model; train one, and give its folder as checkpoint"
        )
    models = {folder.name: load_model(folder) for folder in folders}
    return dict(
        sorted(models.items(), key=lambda pair: pair[0] != "full")
    )  # the whole network first
