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
from torch.nn.modules.module import register_module_forward_hook

from agnet_vision.errors import CheckpointError, ConfigError, first_line
from agnet_vision.models.sketch import input_size, make_sketch

CONNECT_SECONDS = 4
# Options that most models use in their classifier alone.
OF_THE_CLASSIFIER = frozenset({"drop_rate", "global_pool"})


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
    """Refuse options of ``timm.create_model`` that a model does not take, or that do nothing here.

    Raises:
        ConfigError: repeats what the model's own code says, or names the option.
    """
    if not options:
        return
    try:
        layers = _layers_that_run(name, options)
    except Exception as error:  # timm passes on whatever the model's own code raises
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ConfigError(
            f"the backbone {name} does not take {given} ({first_line(error)}); "
            "change backbone.output_stride or backbone.kwargs"
        ) from error

    for option in OF_THE_CLASSIFIER & options.keys():
        others = {key: value for key, value in options.items() if key != option}
        if layers == _layers_that_run(name, others):
            raise ConfigError(
                f"backbone.kwargs.{option}={options[option]} has no effect: in {name} it belongs "
                "to the classifier, which is not used; leave it out"
            )


def _layers_that_run(name: str, options: Mapping[str, Any]) -> list[str]:
    """Describe the layers that a timm model's feature map goes through."""
    layers: list[str] = []

    def note(module: nn.Module, *_: object) -> None:
        """Note a layer that has no layers inside."""
        if not [*module.children()]:
            layers.append(repr(module))

    with torch.device("meta"):
        model, options = make_sketch(name, options)
        hook = register_module_forward_hook(note)
        try:
            model.forward_features(torch.empty(2, *input_size(model, options)))
        finally:
            hook.remove()
    return layers


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
