from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agnet_vision.errors import CheckpointError
from agnet_vision.training.checkpoint_io import AtomicCheckpointIO


def test_full_disk_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(3)}, path)
    before = path.read_bytes()
    original = Path.open

    def open_full(self: Path, mode: str = "r", **kwargs: Any) -> Any:
        # /dev/full answers every write with "no space left on device".
        return original(Path("/dev/full") if self.suffix == ".tmp" else self, mode, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(
        CheckpointError, match=r"No space left on device.*the one before is untouched.*resume=True"
    ):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
