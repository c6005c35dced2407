"""AG-Net: keypoint-guided region attention for fine-grained image recognition."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"  # the one place it stands

if TYPE_CHECKING:
    from agnet_vision.models.agnet import AGNet as AGNet
    from agnet_vision.models.agnet import load_model as load_model
    from agnet_vision.models.evidence import evidence_loss as evidence_loss
    from agnet_vision.models.head import AGNetHead as AGNetHead
    from agnet_vision.regions.proposer import RegionProposer as RegionProposer
    from agnet_vision.structures import Keypoints as Keypoints
    from agnet_vision.structures import Marks as Marks
    from agnet_vision.structures import Regions as Regions
    from agnet_vision.training.run import correct as correct
    from agnet_vision.training.run import evaluate as evaluate
    from agnet_vision.training.run import probe as probe
    from agnet_vision.training.run import train as train

# Public name -> its home.
HOMES = {
    "AGNet": "models.agnet",
    "AGNetHead": "models.head",
    "Keypoints": "structures",
    "Marks": "structures",
    "RegionProposer": "regions.proposer",
    "Regions": "structures",
    "correct": "training.run",
    "evaluate": "training.run",
    "evidence_loss": "models.evidence",
    "load_model": "models.agnet",
    "probe": "training.run",
    "train": "training.run",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: the command line needs no torch to say no."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, for the Tab key of a notebook."""
    return sorted({*globals(), *HOMES})
