"""A description is held against the weights before it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from agnet_vision.errors import CheckpointError
from agnet_vision.models import rebuild
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.models.checkpoint import CONFIG, describe
from tests.models.tiny import save, tiny


def test_raises_newer_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tiny(), tmp_path / "best.ckpt")
    monkeypatch.setattr(rebuild, "FORMAT", 0)
    with pytest.raises(CheckpointError, match="update agnet_vision"):
        load_model(path)


@pytest.mark.parametrize(
    "description", [{}, "text", {"format": 1}, {"format": 1, "model": {"backbone": "none"}}]
)
def test_raises_no_description(tmp_path: Path, description: Any) -> None:
    torch.save({"state_dict": {}, "agnet": description}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="describes no network"):
        load_model(tmp_path / "best.ckpt")


def test_raises_on_weights_that_are_not_in_the_file(tmp_path: Path) -> None:
    """One stored value stands for all of a large layer.

    The shapes fit, but the file is tiny.
    """
    with torch.device("meta"):
        large = AGNet("test_resnet", 10**6, num_clusters=2, head_kwargs={"pool_size": 2})
    state = {
        f"model.{name}": torch.zeros((), dtype=value.dtype).expand(value.shape)
        for name, value in large.state_dict().items()
    }
    torch.save({"state_dict": state, "agnet": describe(large)}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"network of 97,\d*,\d* values, more than a file of"):
        load_model(tmp_path)


def test_raises_on_a_network_larger_than_its_weights(tmp_path: Path) -> None:
    """Nothing is made that the file cannot fill."""
    path = save(tiny(), tmp_path / "best.ckpt")
    content = torch.load(path, weights_only=True)
    content["agnet"]["model"] |= {"num_classes": 10**6, "classes": None}
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"do not fit .* the first is head\.classifier"):
        load_model(path)


def test_raises_on_weights_of_another_model(saved_folder: Path) -> None:
    content = json.loads((saved_folder / CONFIG).read_text())
    content["model"]["num_classes"], content["model"]["classes"] = 4, None
    (saved_folder / CONFIG).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(saved_folder)
