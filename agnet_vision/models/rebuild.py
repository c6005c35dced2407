"""A network made again from its description and its weights.

The description may be a stranger's: it is held against the weights and the size of their file
before memory is taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from agnet_vision.errors import CheckpointError
from agnet_vision.models.checkpoint import FORMAT, Saved, first_line

MAX_BUFFER_VALUES = 2**26  # ours: of what a network computes for itself instead of loading it

# What building from something that is not a description raises, inside timm too.
_NO_DESCRIPTION = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
Network = TypeVar("Network", bound=nn.Module)


def rebuild(build: Callable[[Mapping[str, Any]], Network], saved: Saved) -> Network:
    """Make the network that was saved, in evaluation mode.

    Without memory first; for real when its weights turn out to be in the file.

    Args:
        build: makes a network from its configuration.
        saved: what ``find`` found.

    Raises:
        CheckpointError: it describes no network, one of a newer version, or another than the
            weights are of.
    """
    try:
        version, config = saved.description["format"], saved.description["model"]
        if version > FORMAT:
            raise CheckpointError(
                f"{saved.place} has format {version}, this version reads up to {FORMAT}; update "
                "agnet_vision"
            )
        with torch.device("meta"):
            sketch = build(config)
    except _NO_DESCRIPTION as error:
        raise CheckpointError(
            f"{saved.place} describes no network of agnet_vision: {first_line(error)}"
        ) from error
    _check_fit(sketch, saved)
    model = build(config)
    model.load_state_dict(saved.weights)
    return model.eval()


def _check_fit(sketch: nn.Module, saved: Saved) -> None:
    """Refuse weights of another network, or fewer than it needs."""
    expected = sketch.state_dict()
    unfit = [
        name
        for name, value in expected.items()
        if getattr(saved.weights.get(name), "shape", None) != value.shape
    ]
    unfit += sorted(set(saved.weights) - set(expected))
    if unfit:
        raise CheckpointError(
            f"the weights in {saved.place.parent} do not fit the network that {saved.place.name} "
            f"describes: {len(unfit)} of {len(expected)} tensors are missing, left over or of "
            f"another shape, the first is {unfit[0]}"
        )
    # A weight takes at least a byte of the file, unless one value stands for many.
    weights = sum(value.numel() for value in expected.values())
    computed = sum(buffer.numel() for buffer in sketch.buffers()) - sum(
        value.numel() for name, value in expected.items() if name in dict(sketch.named_buffers())
    )
    if weights > saved.file_bytes or computed > MAX_BUFFER_VALUES:
        raise CheckpointError(
            f"{saved.place} describes a network of {weights + computed:,} values, more than a file "
            f"of {saved.file_bytes:,} bytes can hold"
        )
