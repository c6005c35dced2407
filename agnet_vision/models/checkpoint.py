"""Trained networks on disk and on the Hub: written, found, and made again.

A saved folder has the Hub's layout: weights in safetensors, one JSON file that rebuilds the
network, and a model card. Files may come from strangers: they hold weights and plain data, never
code, and what they describe is held against ``bounds`` and against the size of their file before
memory is taken for it.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import safetensors.torch
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch import Tensor, nn

from agnet_vision.errors import CheckpointError, first_line

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1  # raise when an older version of this library could not rebuild the network
MAX_BUFFER_VALUES = 2**26  # ours: of what a network computes for itself instead of loading it
PREFIX = "model."  # before the names of the weights in a checkpoint of a run

Network = TypeVar("Network", bound=nn.Module)


class Saved(NamedTuple):
    """A network as it was found; ``description`` is anything that a file can hold."""

    place: Path
    description: Any
    weights: Mapping[str, Tensor]
    file_bytes: int


def describe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap what ``AGNet.config`` returns as a file holds it, with the version of its format."""
    return {"format": FORMAT, "model": config}


def write_folder(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write configuration and weights into a folder that exists."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    # As bytes: safetensors' own files may be read by their owner alone.
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    content = {"library": "agnet_vision", **describe(config)}
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def find(source: Path | str, *, revision: str | None = None, **hub: Any) -> Saved:
    """Read a saved network, wherever it is; ``AGNet.from_pretrained`` describes the arguments."""
    place = Path(source)
    if place.is_file() or place.suffix == ".ckpt":
        return _read_run(place)
    if (place / CONFIG).is_file():
        return _read_folder(place)
    if (place / "best.ckpt").is_file():
        return _read_run(place / "best.ckpt")

    is_hub_name = len(place.parts) == 2 and not place.parent.is_dir()
    if place.is_dir() or not is_hub_name:
        what = f"has neither best.ckpt nor {CONFIG}" if place.is_dir() else "does not exist"
        raise CheckpointError(
            f"{place} {what}; give a run folder, a .ckpt or a folder written by save_pretrained"
        )

    try:
        folder = snapshot_download(
            str(source), revision=revision, allow_patterns=[CONFIG, WEIGHTS], **hub
        )
    # huggingface_hub's errors are OSErrors; an invalid name is a ValueError.
    except (ValueError, OSError) as error:
        raise CheckpointError(
            f"{source} is neither a folder written by save_pretrained nor a Hub repository "
            f"that can be read: {error}"
        ) from error
    return _read_folder(Path(folder))


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
        _refuse_packed(path)
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


def rebuild(build: Callable[[Mapping[str, Any]], Network], saved: Saved) -> Network:
    """Make the network that was saved, in evaluation mode.

    ``build`` makes it from its configuration: without memory first, and for real when its weights
    turn out to be in the file.
    """
    try:
        version, config = saved.description["format"], saved.description["model"]
        if version > FORMAT:
            raise ValueError(f"its format must be {FORMAT}, got {version}; update agnet_vision")
        with torch.device("meta"):
            sketch = build(config)
    except Exception as error:  # a description of anything else may fail in any line of timm
        raise CheckpointError(
            f"{saved.place} describes no network of agnet_vision: {first_line(error)}"
        ) from error

    _check_fit(sketch, saved)
    model = build(config)
    model.load_state_dict(saved.weights)
    return model.eval()


def _read_run(path: Path) -> Saved:
    """Read the checkpoint of a run."""
    content = read_checkpoint(path)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, Mapping) or "agnet" not in content:
        raise CheckpointError(
            f"{path} is not a checkpoint of agnet_vision; give a best.ckpt or last.ckpt of a run "
            "folder"
        )
    weights = {
        str(name).removeprefix(PREFIX): value
        for name, value in state.items()
        if str(name).startswith(PREFIX)
    }
    return Saved(path, content["agnet"], weights, path.stat().st_size)


def _read_folder(folder: Path) -> Saved:
    """Read a folder of ``write_folder``."""
    config, weights = folder / CONFIG, folder / WEIGHTS
    try:
        description = json.loads(config.read_text(encoding="utf-8"))
        state = safetensors.torch.load_file(weights)
    except (OSError, RecursionError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{folder} must have {CONFIG} and {WEIGHTS} as save_pretrained writes them: "
            f"{first_line(error)}"
        ) from error

    return Saved(config, description, state, weights.stat().st_size)


def _refuse_packed(path: Path) -> None:
    """Refuse a compressed checkpoint: torch never packs its own."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > path.stat().st_size:
        raise CheckpointError(
            f"{path} must not be compressed, it has {path.stat().st_size:,} bytes and unpacks to "
            f"{unpacked:,}; it is not a checkpoint of agnet_vision"
        )


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
    computed = sum(b.numel() for name, b in sketch.named_buffers() if name not in expected)
    if weights > saved.file_bytes or computed > MAX_BUFFER_VALUES:
        raise CheckpointError(
            f"{saved.place} describes a network of {weights + computed:,} values, more than a file "
            f"of {saved.file_bytes:,} bytes can hold"
        )
