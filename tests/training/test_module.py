"""The loss and the scores that a run logs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import CrossEntropyLoss

from agnet_vision.errors import PredictionError
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, checkpoint, write_unbalanced


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_loss_by_hand(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str
) -> None:
    logits, forward = [], CrossEntropyLoss.forward

    def kept(self: CrossEntropyLoss, output: Tensor, label: Tensor) -> Tensor:
        logits.append((output, label))
        return forward(self, output, label)

    monkeypatch.setattr(CrossEntropyLoss, "forward", kept)
    root = write_unbalanced(tmp_path / "data")
    train(
        configure(
            *PLAIN,
            f"dataset.root={root}",
            "loss.label_smoothing=0.3",
            f"loss.class_weights={weights}",
        )
    )
    weight = (
        torch.tensor([14 / (3 * 8), 14 / (3 * 4), 14 / (3 * 2)]) if weights == "balanced" else None
    )
    by_hand = [F.cross_entropy(*given, weight, label_smoothing=0.3).item() for given in logits]
    assert len(by_hand) == 3
    (row,) = RunFolder(tmp_path / "run").read_history()
    assert row["train/loss_epoch"] == pytest.approx(sum(by_hand) / 3, rel=1e-5)


def test_raises_when_training_diverges(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(
        PredictionError, match=r"not finite for 9 of 9 val images.*lower optimizer\.lr"
    ):
        train(
            configure("optimizer.lr=1e30", "optimizer.backbone_lr=1e30", "schedule.warmup_epochs=0")
        )
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_other_class_weights(configure: Configure, copy: Path) -> None:
    words = ("resume=true", "test=false", f"run_dir={copy}", "epochs=2")
    train(configure(*words, "loss.class_weights=balanced"))
    train(configure(*words[:-1], "epochs=3", "loss.class_weights=none"))
    assert checkpoint(copy)["epoch"] == 2
