"""Checkpoints written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from agnet_vision.errors import CheckpointError
from agnet_vision.files import open_atomically
from agnet_vision.models.checkpoint import first_line


def how_to_go_on(run_dir: Path) -> str:
    """Say how a run that was cut off goes on."""
    if not (run_dir / "last.ckpt").is_file():
        return "start again with the same options; no checkpoint was saved yet"
    return f"go on with agnet_vision.train(resume=True, run_dir={str(run_dir)!r})"


# What best.ckpt holds: the network. What a run needs to go on is in last.ckpt alone.
NETWORK_KEYS = ("agnet", "epoch", "global_step", "pytorch-lightning_version", "state_dict")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint files written beside the old one, then renamed.

    After a full disk or a power failure the old one is still whole.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the checkpoint.

        Raises:
            CheckpointError: it could not be written.
        """
        path = Path(path)
        if path.name == "best.ckpt":
            checkpoint = {key: checkpoint[key] for key in NETWORK_KEYS}
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open_atomically(path) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch wraps the system's error in a RuntimeError
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            kept = "the one before is untouched; " if path.exists() else ""
            raise CheckpointError(
                f"could not write {path}: {first_line(reason)}; {kept}free some space, "
                f"then {how_to_go_on(path.parent)}"
            ) from error
