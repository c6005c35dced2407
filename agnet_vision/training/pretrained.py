"""Weights for the backbone: from a file, or from the net with an answer at once when it cannot be reached."""

from __future__ import annotations

import difflib
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import timm
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from agnet_vision.errors import CheckpointError, ConfigError

CONNECT_SECONDS = 4.0
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def check_backbone(name: str | None, *, pretrained: bool, checkpoint: str | None) -> None:
    """Fail before anything slow when the backbone or its weights cannot be had.

    Raises:
        ConfigError: timm does not know the name or has no weights for it, or they cannot be fetched now.
        CheckpointError: there is no such file.
    """
    if name is None:
        raise ConfigError("backbone=timm needs backbone.name=, any name of timm.list_models()")
    if not timm.is_model(name):
        near = (
            difflib.get_close_matches(name, timm.list_models(), n=5)
            or timm.list_models(f"*{name}*")[:5]
        )
        raise ConfigError(
            f"timm has no model {name!r}; near to it: {', '.join(near) or 'see timm.list_models()'}"
        )
    if checkpoint is not None:
        if not Path(checkpoint).is_file():
            raise CheckpointError(f"backbone.checkpoint: there is no file {checkpoint}")
    elif pretrained:
        _check_source(name)


def load_backbone(backbone: nn.Module, checkpoint: str) -> None:
    """Load weights into a timm model; its classifier, which AGNet does not use, may be in the file.

    Args:
        backbone: the timm model.
        checkpoint: a state dict of that model (``.pth``, ``.safetensors``), or a checkpoint of this library.

    Raises:
        CheckpointError: damaged or unsafe, or of another network.
    """
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(checkpoint, weights_only=True)
    except PermissionError as error:
        raise CheckpointError(
            f"backbone.checkpoint: {checkpoint} must be readable for you; change its permissions"
        ) from error
    except Exception as error:  # timm passes on whatever the format's reader raises, with advice to run the file's code
        raise CheckpointError(
            f"backbone.checkpoint must hold weights and nothing else, and {checkpoint} holds something else or is damaged; "
            "give a state dict (.pth, .safetensors) or a checkpoint of this library"
        ) from error
    for prefix in ("model.backbone.model.", "model.backbone.", "backbone.model.", "backbone."):
        if inner := {
            key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)
        }:
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
            f"{checkpoint} does not fit the backbone {type(backbone).__name__}: {len(unfit)} of {len(expected)} tensors "
            f"are missing or have another shape, the first is {unfit[0]}; choose the backbone the file was made for"
        )
    backbone.load_state_dict({key: state[key] for key in expected})


def _check_source(name: str) -> None:
    """Make sure that the weights are on this machine or can be fetched."""
    cure = (
        "give the weights as a file with backbone.checkpoint=FILE, or start from random weights with "
        "backbone.pretrained=false"
    )
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise ConfigError(f"timm has no pretrained weights for {name}; {cure}")
    if config.hf_hub_id:
        files = (config.hf_hub_filename,) if config.hf_hub_filename else _WEIGHT_FILES
        repository = config.hf_hub_id.split("@")[0]
        if any(
            isinstance(huggingface_hub.try_to_load_from_cache(repository, file), str)
            for file in files
        ):
            return
        if constants.HF_HUB_OFFLINE:
            raise ConfigError(
                f"the pretrained weights of {name} are not on this machine and HF_HUB_OFFLINE is set; {cure}"
            )
        source = constants.ENDPOINT
    else:  # older weights, which torch.hub fetches; timm has no others
        assert config.url is not None
        source, file = (
            config.url if isinstance(config.url, tuple) else (config.url, urlsplit(config.url).path)
        )
        if Path(torch.hub.get_dir(), "checkpoints", Path(file).name).is_file():
            return
    if not _answers(source):
        raise ConfigError(
            f"the pretrained weights of {name} are not on this machine and {urlsplit(source).hostname} does not answer; "
            f"{cure}"
        )


def _answers(endpoint: str) -> bool:
    """Try to connect to a server, or to the proxy on the way to it."""
    secure = endpoint.startswith("https")
    proxy = (
        os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
        if secure
        else os.environ.get("http_proxy")
    )
    address = urlsplit(proxy or endpoint)
    try:
        socket.create_connection(
            (address.hostname, address.port or (443 if secure else 80)), CONNECT_SECONDS
        ).close()
    except OSError:
        return False
    return True
