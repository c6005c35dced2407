"""Small networks trained on the demo set, so that the demo page starts without a download.

Each folder is what ``tools/train.py model=<folder>`` gives, saved in half precision by
``add_demo_model``.
"""

from __future__ import annotations

from pathlib import Path

from agnet_vision.errors import CheckpointError
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.checkpoint import CARD, CONFIG


def demo_models() -> dict[str, AGNet]:
    """Load the networks that come with the package, by variant.

    Raises:
        CheckpointError: there is none in this installation.
    """
    folders = sorted(path.parent for path in Path(__file__).parent.glob(f"*/{CONFIG}"))
    if not folders:
        raise CheckpointError(
            "this installation has no demo model; train one with agnet train and give checkpoint="
        )
    models = {folder.name: load_model(folder) for folder in folders}
    return dict(
        sorted(models.items(), key=lambda pair: pair[0] != "full")
    )  # the whole network first


def add_demo_model(checkpoint: Path | str) -> Path:
    """Save a run's network among these, in half precision, which keeps the package small.

    ``python -c "from agnet_vision.demo.networks import add_demo_model;
    add_demo_model('outputs/demo/my_run')"``
    """
    model = load_model(checkpoint).half()
    folder = Path(__file__).parent / model.variant
    model.save_pretrained(folder)
    (folder / CARD).unlink()  # this file says it all
    return folder
