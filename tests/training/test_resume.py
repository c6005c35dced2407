"""What goes on and what is refused after a run was cut off, moved, or has ended."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from agnet_vision.data.sources.samples import DatasetWarning
from agnet_vision.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    DiskFullError,
    Stopped,
)
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.train import train
from tests.training.tiny import (
    Configure,
    Evaluate,
    Recorder,
    checkpoint,
    interrupt_after,
    write_images,
)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("backbone.name=test_vit.r160_in1k", "its own backbone.name=test_resnet"),
        ("model=no_attention", "its own model.variant=full, got no_attention; with resume leave"),
        ("model.head.pool_size=1", "its own model.head="),
        ("ema_decay=0.9", "its own ema_decay=null, got 0.9"),
        ("seed=1", "its own seed=0, got 1"),
        ("dataset.test_fraction=0.5", "its own dataset.test_fraction=0.2, got 0.5"),
    ],
)
def test_raises_and_touches_nothing(
    configure: Configure, copy: Path, option: str, message: str
) -> None:
    before = content(copy)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        train(configure("resume=true", f"run_dir={copy}", "epochs=2", option))
    assert content(copy) == before


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (2, "has finished after 2 epochs; raise epochs to train longer"),
        (1, "epochs must be at least 2, which the run has reached, got 1"),
    ],
)
def test_a_finished_run_is_left_alone(
    configure: Configure, finished: Path, epochs: int, message: str
) -> None:
    before = content(finished)
    with pytest.raises(ConfigError, match=message):
        train(configure("resume=true", f"run_dir={finished}", f"epochs={epochs}"))
    assert content(finished) == before


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_new_rates_take_effect(configure: Configure, copy: Path) -> None:
    rates = ("optimizer.lr=0.002", "optimizer.backbone_lr=0", "optimizer.weight_decay=0.3")
    words = ("resume=true", "test=false", "epochs=2", "schedule.name=constant")
    before = checkpoint(copy)["state_dict"]
    train(configure(*words, *rates, f"run_dir={copy}"))
    after = checkpoint(copy)
    groups = {group["name"]: group for group in after["optimizer_states"][0]["param_groups"]}
    assert {name: group["lr"] for name, group in groups.items() if "decay" in name} == {
        "backbone_decay": 0, "backbone_no_decay": 0, "head_decay": 0.002, "head_no_decay": 0.002,
    }  # fmt: skip
    assert groups["head_decay"]["weight_decay"] == 0.3
    assert groups["head_no_decay"]["weight_decay"] == 0
    now = after["state_dict"]
    moved = {name for name in now if not torch.equal(now[name], before[name])}
    parameters = {name for name in moved if name.endswith((".weight", ".bias"))}
    assert not [name for name in parameters if name.startswith("model.backbone")]
    assert "model.head.classifier.linear.weight" in moved


def test_moved_folder_keeps_its_best(
    configure: Configure, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = checkpoint(copy, "best.ckpt")["epoch"]
    worse = dict.fromkeys(("acc", "mAP", "mean_per_class_acc", "top5", "loss"), 0.0)
    monkeypatch.setattr("agnet_vision.training.module.score", lambda *arguments: worse)
    train(configure("resume=true", "test=false", f"run_dir={copy}", "epochs=2"))
    assert checkpoint(copy)["epoch"] == 1
    assert checkpoint(copy, "best.ckpt")["epoch"] == best == 0


def test_full_disk(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is told, not that of the record, with advice that fits what was saved."""

    def full(path: Path, content: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(RunFolder, "write_record", lambda folder, record: full(folder.record, {}))
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: full(tmp_path / "events", {}))
    with pytest.raises(DiskFullError, match=r"events\); free some space, then start again"):
        train(configure("epochs=1"))


def test_early_end_is_an_end(configure: Configure, tmp_path: Path) -> None:
    still = ("optimizer.lr=0", "optimizer.backbone_lr=0", "epochs=6", "batch_size=21")
    train(configure(*still, "early_stopping_patience=1"))
    metrics = (tmp_path / "run" / "metrics.json").read_bytes()
    with pytest.raises(
        ConfigError,
        match=r"has finished after . epochs; raise early_stopping_patience",
    ):
        train(configure(*still, "early_stopping_patience=1", "resume=true"))
    assert (tmp_path / "run" / "metrics.json").read_bytes() == metrics
    done = checkpoint(tmp_path / "run")["epoch"]
    train(configure(*still, "early_stopping_patience=2", "resume=true"))
    assert checkpoint(tmp_path / "run")["epoch"] == done + 1


def test_an_early_end_stays_one(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that had stopped early and was killed in its test is tested, and not trained."""
    still = ("optimizer.lr=0", "optimizer.backbone_lr=0", "early_stopping_patience=1", "epochs=6")
    with monkeypatch.context() as patch:
        patch.setattr(AGNetModule, "test_step", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped, match="go on with") as stopped:
            train(configure(*still))
    assert stopped.value.number == signal.SIGTERM
    before = checkpoint(tmp_path / "run")
    assert train(configure(*still, "resume=true")).metrics is not None
    after = checkpoint(tmp_path / "run")
    assert after["epoch"] == before["epoch"] < 5
    assert after["global_step"] == before["global_step"]
    record = RunFolder(tmp_path / "run").read_record()
    assert record["epochs"] == before["epoch"] + 1
    assert record["images_seen"] == 20 * record["epochs"], "those before the resume count"
    assert 0 < record["training_seconds"] < record["wall_time_seconds"]


def test_best_has_no_state_of_training(copy: Path) -> None:
    assert set(checkpoint(copy)) > {"optimizer_states", "loops", "callbacks"}
    assert set(checkpoint(copy, "best.ckpt")) == {
        "agnet", "epoch", "global_step", "pytorch-lightning_version", "state_dict",
    }  # fmt: skip


def test_another_batch_size_in_mid_epoch_skips_no_image(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(configure("test=false", "epochs=1"))
    train(configure("test=false", "epochs=1", "resume=true", "batch_size=3"))
    seen = torch.cat([batch["index"] for batch in recorder.batches]).tolist()
    assert [len(batch["index"]) for batch in recorder.batches] == [4, 4, 3, 3, 3, 3]
    assert len(set(seen)) == 20
    assert len(recorder.validated) == 1


def test_a_run_keeps_its_split(
    configure: Configure, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "data", {"all": 12}) / "all"
    data, run_dir = f"dataset.root={root}", tmp_path / "run"
    train(configure("epochs=1", data))
    listed = (run_dir / "splits.csv").read_bytes()
    assert listed.count(b"\n") == 37
    for name in ("new_1", "new_2", "new_3"):
        shutil.copy(root / "cat" / "0.png", root / "cat" / f"{name}.png")
    again = (f"checkpoint={run_dir}", f"run_dir={tmp_path / 'again'}")
    with pytest.warns(DatasetWarning, match="3 images of .* are not in .*splits.csv and are left"):
        scores = evaluate(configure_evaluation(*again, data)).metrics
    assert scores is not None
    assert scores["acc"] == json.loads((run_dir / "metrics.json").read_text())["acc"]
    with pytest.warns(DatasetWarning, match="are left out"):
        train(configure("resume=true", "epochs=2", data))
    assert (run_dir / "splits.csv").read_bytes() == listed
    (root / "cat" / "3.png").unlink()
    for call in (
        lambda: train(configure("resume=true", "epochs=3", data)),
        lambda: evaluate(configure_evaluation(*again, data)),
    ):
        with pytest.raises(DatasetError, match=r"1 of its images are missing \(cat/3.png\)"):
            call()


def test_resume_auto_starts_or_goes_on(configure: Configure, tmp_path: Path) -> None:
    words = ("resume=auto", f"run_dir={tmp_path}/${{seed}}")
    config = configure(*words)
    assert (config.resume, config.run_dir) == (False, str(tmp_path / "0"))
    train(configure(*words, "test=false", "epochs=1"))
    config = configure(*words, "epochs=2", "experiment=paper")
    assert (config.resume, config.run_dir) == (True, str(tmp_path / "0"))
    assert config.test is False, "a run goes on with its own options"
