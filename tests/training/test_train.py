"""A whole run: its folder, its scores, and that it repeats and resumes bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from agnet_vision import load_model
from agnet_vision.data.image import read_image
from agnet_vision.errors import CheckpointError, ConfigError, DatasetError, ImageReadError
from agnet_vision.evaluation.calibration import Calibration, CalibrationWarning
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training.train import train
from tests.training.tiny import (
    Configure,
    checkpoint,
    differ,
    interrupt_after,
    write_images,
)


def same_weights(first: Path, second: Path) -> bool:
    one, other = (checkpoint(folder)["state_dict"] for folder in (first, second))
    return not differ(one, other, "")


def test_run_folder(finished: Path) -> None:
    files = {"config.yaml", "metrics.json", "predictions.csv", "run.json", "splits.csv"}
    files |= {"best.ckpt", "last.ckpt", "views.png", "curves.png", "confusion.png"}
    assert files | {"csv", "tensorboard"} <= {path.name for path in finished.iterdir()}
    metrics = json.loads((finished / "metrics.json").read_text())
    scores = {"acc", "mAP", "mean_per_class_acc", "top5", "per_class", "confusion_matrix"}
    assert scores | {"seed"} <= set(metrics)
    assert set(metrics["per_class"]) == {"cat", "dog", "owl"}
    run = json.loads((finished / "run.json").read_text())
    assert {"seed", "wall_time_seconds", "versions", "command", "device", "parameters"} <= set(run)
    assert yaml.safe_load((finished / "config.yaml").read_text())["epochs"] == 2
    assert list((finished / "tensorboard").rglob("events.out.tfevents.*"))


def test_raises_on_one_class(configure: Configure, tmp_path: Path) -> None:
    root = write_images(tmp_path / "one", {"train": 4, "val": 2, "test": 2}, ("cat",))
    with pytest.raises(DatasetError, match="at least two classes, there is one: 'cat'"):
        train(configure(f"dataset.root={root}"))


def test_same_seed_same_weights(configure: Configure, finished: Path, tmp_path: Path) -> None:
    train(configure("test=false"))
    assert same_weights(finished, tmp_path / "run")
    train(configure("test=false", "seed=1", f"run_dir={tmp_path / 'other'}"))
    assert not same_weights(finished, tmp_path / "other")


@pytest.mark.parametrize("stop_at", [2, 5, 7], ids=["in epoch 1", "at its end", "in epoch 2"])
@pytest.mark.parametrize(
    "options", [(), ("ema_decay=0.9", "sampler=balanced", "freeze_backbone_epochs=1")]
)
def test_resume_is_exact(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
    options: tuple[str, ...],
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(configure("test=false", *options, f"run_dir={whole}"))
    with monkeypatch.context() as patch:
        interrupt_after(stop_at, patch)
        with pytest.raises(KeyboardInterrupt):
            train(configure("test=false", *options, f"run_dir={parts}"))
    assert not same_weights(whole, parts)
    train(configure("test=false", *options, f"run_dir={parts}", "resume=true"))
    assert same_weights(whole, parts)


@pytest.mark.parametrize(
    "options",
    [
        ("optimizer.name=sgd", "schedule.name=step", "augmentation.preset=paper"),
        ("loss.class_weights=balanced", "gradient_clip=null", "accumulate_batches=2"),
        ("trainer.precision=bf16-mixed", "early_stopping_patience=1", "monitor=mAP"),
        ("model=no_attention", "regions=grid", "augmentation.preset=none"),
        ("model=backbone_only", "regions=random", "backbone.taps=[-2]"),
        # Larger than the map, and of no use to it.
        ("model=backbone_only", "model.head.pool_size=7"),
    ],
    ids=lambda options: options[0],
)
def test_options_run(configure: Configure, tmp_path: Path, options: tuple[str, ...]) -> None:
    train(configure("epochs=1", "test=false", *options))
    assert (tmp_path / "run" / "last.ckpt").is_file()


def test_loader_workers_give_the_same_run(
    configure: Configure, finished: Path, tmp_path: Path
) -> None:
    train(configure("test=false", "workers=2"))
    assert same_weights(finished, tmp_path / "run")


@pytest.mark.parametrize("options", [(), ("regions=grid",), ("model=backbone_only",)])
def test_unreadable_image_stops_before_the_first_epoch(
    configure: Configure, tmp_path: Path, options: tuple[str, ...]
) -> None:
    root = write_images(tmp_path / "data", {"train": 2, "val": 1, "test": 1})
    broken = root / "test" / "owl" / "0.png"
    sound = broken.read_bytes()
    broken.write_bytes(b"no image")
    with pytest.raises(ImageReadError, match=r"test/owl/0.png as an image"):
        train(configure(f"dataset.root={root}", *options))
    assert not (tmp_path / "run" / "last.ckpt").exists()
    broken.write_bytes(sound)
    assert train(configure("epochs=1", f"dataset.root={root}", *options)).metrics is not None


def test_raises_on_a_folder_in_use(configure: Configure, finished: Path) -> None:
    with pytest.raises(ConfigError, match="holds a run already; add resume=true"):
        train(configure(f"run_dir={finished}"))


def test_raises_on_nothing_to_resume(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*config.yaml; run_dir must name"):
        configure("resume=true")
    with pytest.raises(ConfigError, match=r"there is no .*last.ckpt; with resume"):
        train(configure().model_copy(update={"resume": True}))


def test_resume_raises_on_other_classes(
    configure: Configure, finished: Path, tmp_path: Path
) -> None:
    other = write_images(tmp_path / "data", {"train": 2, "val": 1, "test": 1}, ("cat", "dog"))
    with pytest.raises(CheckpointError, match="has 3 classes, dataset=folder has 2"):
        train(configure("resume=true", "epochs=3", f"run_dir={finished}", f"dataset.root={other}"))


def test_calibration_is_in_the_best_weights(
    configure: Configure, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """best.ckpt is the last epoch, corrected; whatever opens it applies the correction."""
    temperature = 1.7
    fitted = Calibration(temperature)
    monkeypatch.setattr("agnet_vision.training.train.fit_calibration", lambda *_: fitted)
    scores = train(configure("epochs=1", "calibration=temperature")).metrics
    assert scores is not None
    assert scores["calibration"] == {"temperature": temperature, "tau": 0.0}

    best, last = (checkpoint(tmp_path / "run", f"{name}.ckpt") for name in ("best", "last"))
    assert best["agnet"]["model"]["calibration"] == scores["calibration"]
    assert last["agnet"]["model"]["calibration"] == {}
    linear = "model.head.classifier.linear.weight"
    torch.testing.assert_close(best["state_dict"][linear] * temperature, last["state_dict"][linear])

    image = read_image(next((images / "test" / "cat").iterdir()))
    probabilities, expected = (
        Predictor(load_model(tmp_path / "run" / name)).outputs([image]).probabilities
        for name in ("best.ckpt", "last.ckpt")
    )
    corrected = expected ** (1 / temperature)
    np.testing.assert_allclose(probabilities, corrected / corrected.sum(), rtol=1e-4)


def test_calibration_on_few_mistakes_is_not_made(configure: Configure, copy: Path) -> None:
    words = ("resume=true", "test=true", f"run_dir={copy}", "calibration=temperature")
    with pytest.warns(CalibrationWarning, match="mistakes in 9 images, which count as"):
        scores = train(configure(*words)).metrics
    assert scores is not None
    assert scores["calibration"] == {"temperature": 1, "tau": 0}
    assert checkpoint(copy, "best.ckpt")["agnet"]["model"]["calibration"] == {}
