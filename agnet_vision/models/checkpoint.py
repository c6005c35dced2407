"""Trained networks, written and found on disk and the Hub.

A saved folder has the Hub's layout: weights in safetensors, one JSON file that rebuilds the
network, and a model card. Files may come from strangers: they hold weights and plain data, never
code, and what they describe is held against ``bounds`` and against their own size before it is
made.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors.torch
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch import Tensor

from agnet_vision.errors import CheckpointError

if TYPE_CHECKING:
    from agnet_vision.models.agnet import AGNet

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1  # raise when an older version of this library could not rebuild the network
MAX_CONFIG_BYTES = 16 * 2**20  # ours: the names of a hundred thousand classes
PREFIX = "model."  # before the names of the weights in a checkpoint of a run


class Saved(NamedTuple):
    """A network as it was found.

    Attributes:
        place: the file that describes it.
        description: what ``describe`` returned.
        weights: by name.
        file_bytes: size of the file that holds the weights.
    """

    place: Path
    description: Any
    weights: Mapping[str, Tensor]
    file_bytes: int


def describe(model: AGNet) -> dict[str, Any]:
    """Return what rebuilds network and input, as plain data."""
    return {"format": FORMAT, "model": model.config()}


def write_folder(model: AGNet, folder: Path) -> None:
    """Write configuration and weights into a folder that exists."""
    content = {"library": "agnet_vision", **describe(model)}
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    # As bytes: safetensors' own files may be read by their owner alone.
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights, metadata={"format": "pt"}))
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def find(source: Path | str, *, revision: str | None = None, **hub: Any) -> Saved:
    """Read a saved network, wherever it is.

    Args:
        source: a run folder, a ``.ckpt`` of one, a saved folder, or ``owner/name`` on the Hub.
        revision: branch, tag or commit of the repository.
        hub: more options of ``huggingface_hub.snapshot_download``.

    Raises:
        CheckpointError: none of these, or damaged or unsafe.
    """
    place = Path(source)
    if len(place.name.encode()) > 255 or "\0" in str(source):
        raise CheckpointError(f"there is no {str(source)[:60]!r}...: no file can have that name")
    if place.is_file() or place.suffix == ".ckpt":
        return _read_run(place)
    if (place / CONFIG).is_file():
        return _read_folder(place)
    if (place / "best.ckpt").is_file():
        return _read_run(place / "best.ckpt")
    if place.is_dir():
        raise CheckpointError(
            f"{place} has neither best.ckpt nor {CONFIG}; give a run folder, a .ckpt or a folder "
            "written by save_pretrained"
        )
    if len(place.parts) != 2 or place.parent.is_dir():  # no owner/name of the Hub
        raise CheckpointError(
            f"there is no {place}; give a run folder, a .ckpt or a folder written by "
            "save_pretrained"
        )
    return _read_folder(_download(str(source), revision, hub))


def read_checkpoint(path: Path | str) -> Any:
    """Read weights and plain data from a file, never code.

    Raises:
        CheckpointError: missing, damaged, unsafe, or larger unpacked than packed.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint at {path}; give the path of a file, such as outputs/.../best.ckpt"
        )
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd files; they are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights and plain data, or is damaged; it was not opened, "
            "since it could run code"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """Cut an error's message to its first line."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _read_run(path: Path) -> Saved:
    """Read the checkpoint of a run."""
    content = read_checkpoint(path)
    if not isinstance(content, dict) or "agnet" not in content or "state_dict" not in content:
        raise CheckpointError(
            f"{path} is not a checkpoint of agnet_vision; give a best.ckpt or last.ckpt of a run "
            "folder"
        )
    state = content["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"{path} does not fit the network it describes: it has no weights")
    weights = {
        name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)
    }
    return Saved(path, content["agnet"], weights, path.stat().st_size)


def _read_folder(folder: Path) -> Saved:
    """Read a folder of ``write_folder``."""
    config, weights = folder / CONFIG, folder / WEIGHTS
    for path in (config, weights):
        if not path.is_file():
            raise CheckpointError(
                f"{folder} has no {path.name}; give a folder written by save_pretrained"
            )
    if config.stat().st_size > MAX_CONFIG_BYTES:
        raise CheckpointError(
            f"{config} must have at most {MAX_CONFIG_BYTES:,} bytes, got {config.stat().st_size:,}"
        )
    try:
        description = json.loads(config.read_text(encoding="utf-8"))
        state = safetensors.torch.load_file(weights)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{config} is not a configuration of agnet_vision: {first_line(error)}"
        ) from error
    except SafetensorError as error:
        raise CheckpointError(f"{weights} is damaged or not a safetensors file: {error}") from error
    return Saved(config, description, state, weights.stat().st_size)


def _download(repository: str, revision: str | None, hub: Mapping[str, Any]) -> Path:
    """Fetch the two files from the Hub."""
    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=[CONFIG, WEIGHTS], **hub
            )
        )
    # huggingface_hub's errors are OSErrors; an invalid name is a ValueError.
    except (ValueError, OSError) as error:
        raise CheckpointError(
            f"{repository} is neither a folder written by save_pretrained nor a Hub repository "
            f"that can be read: {error}"
        ) from error


def _check_archive(path: Path) -> None:
    """Refuse a compressed checkpoint: torch never packs its own."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f"{path} must not be compressed, it has {path.stat().st_size:,} bytes and unpacks to "
            f"{unpacked:,}; it is not a checkpoint of agnet_vision"
        )
