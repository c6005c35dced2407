"""Weights for the backbone, from a file or the net.

An unreachable net is an error at once.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import timm
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from agnet_vision.errors import CheckpointError, ConfigError

CONNECT_SECONDS = 4.0
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def check_weights(name: str, *, pretrained: bool, checkpoint: str | None) -> None:
    """Fail before anything slow when there are no weights.

    Args:
        name: of the timm model.
        pretrained: whether timm's weights are asked for.
        checkpoint: a file of weights instead.

    Raises:
        ConfigError: timm has no weights for it, or they cannot be fetched now.
        CheckpointError: there is no such file.
    """
    if checkpoint is not None:
        _weights_file(checkpoint)
    elif pretrained:
        _check_source(name)


def check_network_options(name: str, options: Mapping[str, Any]) -> None:
    """Make a weightless backbone to find options it refuses.

    Args:
        name: of the timm model.
        options: of ``timm.create_model``.

    Raises:
        ConfigError: says which.
    """
    if not options or (reason := _refusal(name, options)) is None:
        return
    alone = {
        key: why
        for key, value in options.items()
        if (why := _refusal(name, {key: value})) is not None
    }
    key = next(iter(alone), None)
    if key is None:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ConfigError(
            f"the backbone {name} does not take {given} together ({reason}); change backbone.kwargs"
        )
    cure = (
        "leave backbone.output_stride out"
        if key == "output_stride"
        else f"leave backbone.kwargs.{key} out"
    )
    raise ConfigError(
        f"the backbone {name} does not take {key}={options[key]!r} ({alone[key]}); {cure}"
    )


def _refusal(name: str, options: Mapping[str, Any]) -> str | None:
    """Return why timm refuses these options, or None."""
    try:
        with torch.device("meta"):
            timm.create_model(name, num_classes=0, **options)
    except (
        AssertionError,
        AttributeError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        text = " ".join(str(error).split())
        return (
            "it has no such option"
            if "unexpected keyword argument" in text
            else text or "it has one value only"
        )
    return None


def load_backbone(backbone: nn.Module, checkpoint: str) -> None:
    """Load weights into a timm model, classifier or not.

    Args:
        backbone: the timm model.
        checkpoint: a state dict of that model (``.pth``, ``.safetensors``), a checkpoint of this
            library, or a folder with one: of a run, or of ``save_pretrained``.

    Raises:
        CheckpointError: damaged or unsafe, or of another network.
    """
    checkpoint = str(_weights_file(checkpoint))
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(checkpoint, weights_only=True)
    except PermissionError as error:
        raise CheckpointError(
            f"backbone.checkpoint: {checkpoint} must be readable for you; change its permissions"
        ) from error
    # timm passes on whatever the format's reader raises, with advice to run the file's code.
    except Exception as error:
        raise CheckpointError(
            f"backbone.checkpoint must hold weights and nothing else, and {checkpoint} holds "
            "something else or is damaged; "
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
            f"{checkpoint} does not fit the backbone {type(backbone).__name__}: {len(unfit)} of "
            f"{len(expected)} tensors "
            f"are missing or have another shape, the first is {unfit[0]}; choose the backbone the "
            "file was made for"
        )
    backbone.load_state_dict({key: state[key] for key in expected})


def _weights_file(checkpoint: str) -> Path:
    """Find the weights, the file itself or a folder's."""
    place = Path(checkpoint)
    if not place.is_dir():
        if not place.is_file():
            raise CheckpointError(f"backbone.checkpoint: there is no file {place}")
        return place
    for name in ("best.ckpt", "model.safetensors"):
        if (place / name).is_file():
            return place / name
    raise CheckpointError(
        f"backbone.checkpoint: {place} holds neither best.ckpt nor model.safetensors; give a "
        "file, a run folder or a folder "
        "of save_pretrained"
    )


def _check_source(name: str) -> None:
    """Make sure that weights are local or can be fetched."""
    cure = (
        "give the weights as a file with backbone.checkpoint, or start from random weights with "
        "backbone.pretrained=False"
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
                f"the pretrained weights of {name} are not on this machine and HF_HUB_OFFLINE is "
                f"set; {cure}"
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
            f"the pretrained weights of {name} are not on this machine and "
            f"{urlsplit(source).hostname} does not answer; "
            f"{cure}"
        )


def _answers(endpoint: str) -> bool:
    """Try to connect to a server, or to its proxy."""
    scheme = urlsplit(endpoint).scheme
    address = urlsplit(getproxies().get(scheme, endpoint))
    port = address.port or (443 if scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
