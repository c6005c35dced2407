"""Weights for the backbone, fetched by timm or from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.models.checkpoint import first_line

# What may stand before the names of a backbone's weights in a file, longest first.
PREFIXES = ("model.backbone.model.", "model.backbone.", "backbone.model.", "backbone.")


@contextmanager
def weights_fetched(name: str) -> Iterator[None]:
    """Say what helps where timm has no weights for a model, or cannot fetch them.

    Raises:
        ConfigError: instead of the error that timm or its downloader raised.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else first_line(error)
        raise ConfigError(
            f"cannot get pretrained weights of {name}: {reason}; give the weights as a file with "
            "backbone.checkpoint, or start from random weights with backbone.pretrained=false"
        ) from error


def check_backbone_options(name: str, options: Mapping[str, Any]) -> None:
    """Make a backbone without weights, to find options that it does not take.

    Args:
        name: name of the timm model.
        options: options of ``timm.create_model``.

    Raises:
        ConfigError: the model does not take them.
    """
    if not options:
        return
    try:
        with torch.device("meta"):
            timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # timm passes on whatever the model's own code raises
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ConfigError(
            f"the backbone {name} does not take {given} ({first_line(error)}); "
            "change backbone.output_stride or backbone.kwargs"
        ) from error


def load_backbone(backbone: nn.Module, checkpoint: str) -> None:
    """Load weights into a timm model; those of a classifier are left.

    Args:
        backbone: the timm model.
        checkpoint: a state dict of that model (``.pth``, ``.safetensors``), a checkpoint of this
            library, or a folder with one: of a run, or of ``save_pretrained``.

    Raises:
        CheckpointError: there is none, it is damaged or unsafe, or of another network.
    """
    file = _weights_file(Path(checkpoint))
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(str(file), weights_only=True)
    except PermissionError as error:
        raise CheckpointError(
            f"backbone.checkpoint: {file} must be readable for you; change its permissions"
        ) from error
    # timm passes on whatever the format's reader raises, with advice to run the file's code.
    except Exception as error:
        raise CheckpointError(
            f"backbone.checkpoint must hold weights and nothing else, and {file} holds "
            "something else or is damaged; "
            "give a state dict (.pth, .safetensors) or a checkpoint of this library"
        ) from error
    for prefix in PREFIXES:
        inner = {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
        if inner:
            state = inner
            break

    expected = backbone.state_dict()
    unfit = [
        key
        for key, value in expected.items()
        if getattr(state.get(key), "shape", None) != value.shape
    ]
    if unfit:
        raise CheckpointError(
            f"{file} does not fit the backbone {type(backbone).__name__}: {len(unfit)} of "
            f"{len(expected)} tensors are missing or have another shape, the first is {unfit[0]}; "
            "choose the backbone the file was made for"
        )
    backbone.load_state_dict({key: state[key] for key in expected})


def _weights_file(place: Path) -> Path:
    """Find the file of weights: itself, or in a folder."""
    files = [place, place / "best.ckpt", place / "model.safetensors"]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise CheckpointError(
            f"backbone.checkpoint: {place} is no file, and no folder with best.ckpt or "
            "model.safetensors; give a file, a run folder or a folder of save_pretrained"
        )
    return found
