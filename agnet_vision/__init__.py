"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""

from typing import TYPE_CHECKING, Any

from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.head import AGNetHead
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, Regions

__version__ = "0.2.0"  # the one place it stands

__all__ = [
    "AGNet",
    "AGNetHead",
    "Keypoints",
    "RegionProposer",
    "Regions",
    "evaluate",
    "load_model",
    "train",
]

if TYPE_CHECKING:
    from agnet_vision.training.run import evaluate as evaluate
    from agnet_vision.training.run import train as train


def __getattr__(name: str) -> Any:
    """Import training when it is asked for: it needs more packages than the network does."""
    if name not in ("train", "evaluate"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agnet_vision.training import run

    return getattr(run, name)
