"""Checkpoints: written whole or not at all, read as weights and plain data only, and enough to rebuild the network."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from agnet_vision.errors import CheckpointError
from agnet_vision.hub import load_model
from agnet_vision.model import AGNet

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


def load_checkpoint(path: Path | str) -> AGNet:
    """Rebuild a trained network, with its weights, on the CPU, in evaluation mode.

    Args:
        path: a ``best.ckpt`` or ``last.ckpt``, or a folder that ``AGNet.save_pretrained`` wrote.

    Raises:
        CheckpointError: missing, damaged, or not a checkpoint of this library.
    """
    if Path(path).is_dir():
        return load_model(path).eval()
    content = read_checkpoint(path)
    if not isinstance(content, dict) or "agnet" not in content or "state_dict" not in content:
        raise CheckpointError(
            f"{path} is not a checkpoint of agnet_vision; give a best.ckpt or last.ckpt of a run folder"
        )
    model = rebuild(content["agnet"])
    prefix = "model."
    weights = {name[len(prefix) :]: value for name, value in content["state_dict"].items() if name.startswith(prefix)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the network it describes: {error}") from error
    return model.eval()


def read_checkpoint(path: Path | str) -> Any:
    """Read weights and plain data; a file that holds code is refused.

    Raises:
        CheckpointError: missing, damaged or unsafe.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give the path of a file, such as outputs/.../best.ckpt")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd files; they are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than weights and plain data, or is damaged; it was not opened, since it could run code"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {_first_line(error)}") from error


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file, then renames: when the disk is full or the power fails, the old checkpoint is still whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint.

        Raises:
            CheckpointError: it could not be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except (OSError, RuntimeError) as error:  # torch wraps the system's error in a RuntimeError
            unfinished.unlink(missing_ok=True)
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            kept = "the one before is untouched; " if path.exists() else ""
            raise CheckpointError(
                f"could not write {path}: {_first_line(reason)}; {kept}"
                f"free some space, then go on with resume=true run_dir={path.parent}"
            ) from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
