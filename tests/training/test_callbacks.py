from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training.callbacks import ChanceWarning, WarnAtChance
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, Recorder, assert_same, checkpoint, differ


def test_averaged_weights_by_hand(configure: Configure, recorder: Recorder, tmp_path: Path) -> None:
    train(configure(*PLAIN, "ema_decay=0.26", "test=true"))
    average = recorder.weights[0]
    for updates, weights in enumerate(recorder.weights[1:], start=1):
        rate = min(0.26, (1 + updates) / (10 + updates))
        average = {
            name: rate * average[name] + (1 - rate) * value if value.is_floating_point() else value
            for name, value in weights.items()
        }
    averaged = {name: value for name, value in average.items() if name.startswith("model.")}
    for name in ("last.ckpt", "best.ckpt"):
        stored = checkpoint(tmp_path / "run", name)
        assert_same({key: stored["state_dict"][key] for key in averaged}, averaged)
    assert_same(
        checkpoint(tmp_path / "run", "last.ckpt")["current_model_state"], recorder.weights[-1]
    )
    for used in (recorder.validated[0], recorder.tested):
        assert_same({key: used[key] for key in averaged}, averaged)
    assert differ(averaged, recorder.weights[-1], "model.backbone.")


@pytest.mark.parametrize(
    ("monitor", "patience", "best", "epochs"),
    [("acc", 2, 1, 4), ("loss", 1, 0, 2)],
    ids=["highest", "lowest"],
)
def test_best_checkpoint_and_early_stopping(
    configure: Configure,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    monitor: str,
    patience: int,
    best: int,
    epochs: int,
) -> None:
    """The scores are set: the best epoch is not the last one, nor that of another score."""
    told = {
        "acc": [0.2, 0.9, 0.5, 0.8, 1.0],
        "loss": [0.1, 0.7, 0.5, 0.6, 0.5],
        "mAP": [0.1, 0.2, 0.3, 0.4, 0.5],
    }

    def score(*_: object) -> dict[str, float]:
        epoch = len(recorder.validated) - 1
        others = {"mean_per_class_acc": 0.5, "top5": 1.0}
        return {name: values[epoch] for name, values in told.items()} | others

    monkeypatch.setattr("agnet_vision.training.module.score", score)
    stop = (f"monitor={monitor}", f"early_stopping_patience={patience}")
    train(configure(*PLAIN, "epochs=5", "test=true", *stop))
    folder = RunFolder(tmp_path / "run")
    assert folder.read_record()["epochs"] == epochs
    history = [row[f"val/{monitor}"] for row in folder.read_history()]
    assert history == pytest.approx(told[monitor][:epochs])
    stored = checkpoint(tmp_path / "run", "best.ckpt")
    assert stored["epoch"] == best
    for weights in (stored["state_dict"], recorder.tested):
        assert not differ(recorder.validated[best], weights, "model.")
    assert differ(recorder.validated[-1], stored["state_dict"], "model.head.")


def test_frozen_epochs(configure: Configure, recorder: Recorder) -> None:
    """The stem stays frozen, as the backbone itself was told."""
    train(configure(*PLAIN, "epochs=2", "freeze_backbone_epochs=1", "backbone.freeze_at=1"))
    assert not differ(recorder.weights_at_start, recorder.validated[0], "model.backbone.")
    assert differ(recorder.weights_at_start, recorder.validated[0], "model.head.")
    assert differ(recorder.weights_at_start, recorder.validated[1], "model.backbone.")
    assert not differ(
        recorder.weights_at_start, recorder.validated[1], "model.backbone.model.conv1."
    )


class Epoch:
    """What the callback reads of a trainer."""

    def __init__(self, accuracy: float, epoch: int = 0) -> None:
        self.callback_metrics = {"val/mean_per_class_acc": accuracy}
        self.current_epoch = epoch
        self.is_global_zero = True


@pytest.mark.parametrize("classes", [2, 40])
def test_warning_a_pretrained_network_that_begins_at_chance(classes: int) -> None:
    callback = WarnAtChance(classes)
    with pytest.warns(ChanceWarning, match="pad_type"):
        callback.on_train_epoch_end(Epoch(1.1 / classes), None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch in (Epoch(1.7 / classes), Epoch(1 / classes, epoch=1)):
            callback.on_train_epoch_end(epoch, None)  # type: ignore[arg-type]
