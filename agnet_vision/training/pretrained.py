"""Weights for the backbone, fetched by timm or from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, get_session
from torch import Tensor, nn

from agnet_vision.errors import CheckpointError, ConfigError, first_line

CONNECT_SECONDS = 4


@contextmanager
def weights_fetched(name: str) -> Iterator[None]:
    """Say what helps where timm has no weights for a model, or cannot fetch them.

    The Hub's client would try an unreachable network for 48 s; offline, it looks into its cache
    alone.

    Raises:
        ConfigError: instead of the error that timm or its downloader raised.
    """
    offline = constants.HF_HUB_OFFLINE
    reason = "HF_HUB_OFFLINE is set" if offline else ""
    if not offline:
        try:
            get_session().head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
        except Exception as error:  # each version of the client has its network library's own
            reason = f"{constants.ENDPOINT} cannot be reached ({first_line(error)})"
            constants.HF_HUB_OFFLINE = True

    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"cannot get pretrained weights of {name}: {reason or first_line(error)}; give the "
            "weights as a file with backbone.checkpoint, or start from random weights with "
            "backbone.pretrained=false"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def check_backbone_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse options of ``timm.create_model`` that a model does not take.

    Raises:
        ConfigError: repeats what the model's own code says.
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
    place = Path(checkpoint)
    files = (place, place / "best.ckpt", place / "model.safetensors")
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise CheckpointError(
            f"backbone.checkpoint: {place} is no file, and no folder with best.ckpt or "
            "model.safetensors; give a file, a run folder or a folder of save_pretrained"
        )
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(str(file), weights_only=True)
    # timm passes on whatever the format's reader raises, with advice to run the file's code.
    except Exception as error:
        raise CheckpointError(
            f"backbone.checkpoint must hold weights and nothing else, and {file} holds "
            "something else or is damaged; "
            "give a state dict (.pth, .safetensors) or a checkpoint of this library"
        ) from error

    expected = backbone.state_dict()
    first = next(iter(expected))
    # Lightning modules name their network as they like: model., net., encoder. ...
    prefixes = [key.removesuffix(first) for key in state if key.endswith(first)] or [""]
    prefix = max(prefixes, key=lambda each: sum(f"{each}{name}" in state for name in expected))
    names = {f"{prefix}{name}": name for name in expected}
    try:
        backbone.load_state_dict({names[key]: state[key] for key in names.keys() & state.keys()})
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise CheckpointError(
            f"{file} does not fit the backbone {type(backbone).__name__} ({first}); "
            "choose the backbone the file was made for"
        ) from error
