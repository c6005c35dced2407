"""Training and evaluation: Lightning connects what the rest of the package computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agnet_vision.models.agnet import AGNet


@dataclass(frozen=True)
class Run:
    """A finished training or evaluation.

    Attributes:
        folder: folder of its files.
        checkpoint: weights that were tested; of a training, those of its best epoch.
        metrics: ``acc``, ``mAP``, ``per_class`` and more; None without a test, and on all processes
            but the first.
    """

    folder: Path
    checkpoint: Path | str
    metrics: dict[str, Any] | None

    def load_model(self) -> AGNet:
        """Open the network, on the CPU and in evaluation mode."""
        from agnet_vision.models.agnet import load_model

        return load_model(self.checkpoint)
