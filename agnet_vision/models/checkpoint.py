"""Trained networks opened: run folders, Lightning checkpoints, saved folders, the Hub. Weights and plain data only, no code."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from agnet_vision.errors import CheckpointError
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.hub import CONFIG, load_model

FORMAT = 1  # raise when an older version of this library could not rebuild the network


def describe(model: AGNet) -> dict[str, Any]:
    """Return what it takes to rebuild the network and prepare its input, as plain data."""
    return {"format": FORMAT, "model": model.config()}


def rebuild(description: dict[str, Any]) -> AGNet:
    """Build the network that ``describe`` described, with fresh weights.

    Raises:
        CheckpointError: written by a newer version of this library.
    """
    if description["format"] > FORMAT:
        raise CheckpointError(
            f"the checkpoint has format {description['format']}, this version reads up to {FORMAT}; update agnet_vision"
        )
    return AGNet.from_config(description["model"])


def open_model(path: Path | str) -> AGNet:
    """Load a trained network, on the CPU, in evaluation mode.

    Args:
        path: a run folder, a ``.ckpt`` of one, a ``save_pretrained`` folder, or ``owner/name`` of a Hub repository.

    Raises:
        CheckpointError: none of these, or damaged.
    """
    place = Path(path)
    if len(place.name.encode()) > 255 or "\0" in str(path):
        raise CheckpointError(f"there is no {str(path)[:60]!r}...: no file can have that name")
    if place.is_dir() and not (place / CONFIG).is_file():
        if not (place / "best.ckpt").is_file():
            raise CheckpointError(
                f"{place} holds neither best.ckpt nor {CONFIG}; give a run folder, a .ckpt or an exported folder"
            )
        place /= "best.ckpt"
    if place.is_file() or place.suffix == ".ckpt":
        return _open_file(place)
    if not place.exists() and (
        len(place.parts) != 2 or place.parent.is_dir()
    ):  # no owner/name of the Hub
        raise CheckpointError(
            f"there is no {place}; give a run folder, a .ckpt or an exported folder"
        )
    return load_model(path).eval()


def _open_file(path: Path) -> AGNet:
    """Rebuild the network of a Lightning checkpoint, with its weights."""
    content = read_checkpoint(path)
    if not isinstance(content, dict) or "agnet" not in content or "state_dict" not in content:
        raise CheckpointError(
            f"{path} is not a checkpoint of agnet_vision; give a best.ckpt or last.ckpt of a run folder"
        )
    try:
        model = rebuild(content["agnet"])
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
    ) as error:  # no description of a network
        raise CheckpointError(
            f"{path} describes no network of agnet_vision: {first_line(error)}"
        ) from error
    prefix = "model."
    try:
        state = content["state_dict"].items()
        model.load_state_dict(
            {name[len(prefix) :]: value for name, value in state if name.startswith(prefix)}
        )
    except (RuntimeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not fit the network it describes: {error}") from error
    return model.eval()


def read_checkpoint(path: Path | str) -> Any:
    """Read weights and plain data; a file that holds code is refused.

    Raises:
        CheckpointError: missing, damaged or unsafe.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}; give the path of a file, such as outputs/.../best.ckpt"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd files; they are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights and plain data, or is damaged; it was not opened, since it could run code"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """Cut an error's message to its first line."""
    return (str(error) or type(error).__name__).splitlines()[0]
