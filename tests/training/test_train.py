from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import accuracy_score, average_precision_score

from agnet_vision.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    ImageReadError,
    PredictionError,
)
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.explain.predict import Predictor
from agnet_vision.models.agnet import load_model
from agnet_vision.training.config import EvaluateConfig, TrainConfig
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.train import train

from .conftest import TINY, training, write_pictures

Configure = Callable[..., TrainConfig]
Evaluate = Callable[..., EvaluateConfig]


def weights(run_dir: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return torch.load(run_dir / name, weights_only=True)["state_dict"]


def read_rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same_weights(first: Path, second: Path) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(weights(first).values(), weights(second).values(), strict=True)
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """One finished run, shared by the tests that only look at it."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    run = train(training(*TINY, f"dataset.root={pictures}", f"run_dir={run_dir}"))
    assert run.folder == run_dir
    return run_dir


def test_run_folder(finished: Path) -> None:
    expected = {
        "config.yaml",
        "metrics.json",
        "predictions.csv",
        "run.json",
        "splits.csv",
        "best.ckpt",
        "last.ckpt",
    }
    assert expected | {"views.png", "curves.png", "confusion.png", "csv", "tensorboard"} <= {
        path.name for path in finished.iterdir()
    }
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {
        "acc",
        "mAP",
        "mean_per_class_acc",
        "top5",
        "per_class",
        "confusion_matrix",
        "seed",
    } <= set(metrics)
    assert set(metrics["per_class"]) == {"cat", "dog", "owl"}
    run = json.loads((finished / "run.json").read_text())
    assert {"seed", "wall_time_seconds", "versions", "command", "device", "parameters"} <= set(run)
    assert yaml.safe_load((finished / "config.yaml").read_text())["epochs"] == 2
    assert list((finished / "tensorboard").rglob("events.out.tfevents.*"))


def test_metrics_equal_sklearn_on_the_predictions(finished: Path) -> None:
    rows = read_rows(finished)
    classes = ("cat", "dog", "owl")
    assert list(rows[0]) == [
        "path",
        "label",
        "predicted",
        *(f"probability_{name}" for name in classes),
    ]
    assert len({row["path"] for row in rows}) == len(rows) == 9
    label, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["acc"] == pytest.approx(accuracy_score(label, predicted))
    for name in classes:
        scores = np.array([float(row[f"probability_{name}"]) for row in rows])
        ap = average_precision_score([value == name for value in label], scores)
        assert metrics["per_class"][name]["ap"] == pytest.approx(ap, abs=1e-6)


def test_evaluate_repeats_the_test(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    scores = evaluate(configure_evaluation(f"checkpoint={finished / 'best.ckpt'}")).metrics
    stored = json.loads((finished / "metrics.json").read_text())
    assert scores is not None
    for name in ("acc", "mAP", "mean_per_class_acc", "top5"):
        assert scores[name] == pytest.approx(stored[name], abs=1e-6)
    assert [row["path"] for row in read_rows(finished)] == [
        row["path"] for row in read_rows(tmp_path / "run")
    ]


def test_value_evaluate_averages_the_views_that_predict_does(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    checkpoint = finished / "best.ckpt"
    found = evaluate(configure_evaluation(f"checkpoint={checkpoint}", "tta=keypoints"))
    rows = read_rows(found.folder)
    assert json.loads((found.folder / "metrics.json").read_text())["tta"] == "keypoints"
    root = Path(json.loads((finished / "metrics.json").read_text())["root"])
    predictor = Predictor(load_model(checkpoint), tta="keypoints")
    predictions = list(predictor(root / row["path"] for row in rows))
    plain = read_rows(finished)
    for row, before, prediction in zip(rows, plain, predictions, strict=True):
        values, single = (
            [float(each[f"probability_{name}"]) for name in prediction.classes]
            for each in (row, before)
        )
        assert prediction.probabilities is not None
        # Stored positions of keypoints are rounded to a small part of a pixel.
        np.testing.assert_allclose(values, prediction.probabilities, atol=1e-3)
        assert np.abs(np.array(values) - single).max() > 1e-4


def test_evaluate_raises_on_other_classes(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    for classes, message in (
        (("cat", "dog"), "knows 3 classes, dataset=folder has 2"),
        (("cat", "dog", "yak"), "has 'owl' as class 2, dataset=folder has 'yak'"),
    ):
        other = write_pictures(
            tmp_path / "-".join(classes), {"train": 1, "val": 1, "test": 1}, classes
        )
        given = (f"checkpoint={finished / 'best.ckpt'}", f"dataset.root={other}")
        with pytest.raises(CheckpointError, match=message):
            evaluate(configure_evaluation(*given))


def test_raises_on_one_class(configure: Configure, tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "one", {"train": 4, "val": 2, "test": 2}, ("cat",))
    with pytest.raises(DatasetError, match="at least two classes, got cat alone"):
        train(configure(f"dataset.root={root}"))


def test_raises_when_training_diverges(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(
        PredictionError, match=r"not finite for 9 of 9 val images.*lower optimizer\.lr"
    ):
        train(
            configure("optimizer.lr=1e30", "optimizer.backbone_lr=1e30", "schedule.warmup_epochs=0")
        )
    assert not (tmp_path / "run" / "metrics.json").exists()


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


def interrupt_after(steps: int, patch: pytest.MonkeyPatch, number: int = signal.SIGINT) -> None:
    """Press Ctrl-C, or send another signal, during a training step."""
    original, taken = AGNetModule.training_step, [0]

    def step(self: AGNetModule, batch: dict, batch_idx: int) -> torch.Tensor:
        taken[0] += 1
        if taken[0] == steps:
            os.kill(os.getpid(), number)
        return original(self, batch, batch_idx)

    patch.setattr(AGNetModule, "training_step", step)


@pytest.mark.parametrize(
    "options",
    [
        (
            "optimizer.name=sgd",
            "schedule.name=step",
            "schedule.warmup_epochs=0",
            "augmentation.preset=paper",
        ),
        (
            "loss.class_weights=balanced",
            "loss.label_smoothing=0",
            "gradient_clip=null",
            "accumulate_batches=2",
        ),
        ("trainer.precision=bf16-mixed", "early_stopping_patience=1", "monitor=mAP"),
        ("model=no_attention", "regions=grid", "augmentation.preset=none"),
        ("model=backbone_only", "regions=random", "backbone.taps=[-2]"),
        (
            "model=backbone_only",
            "model.head.pool_size=7",
        ),  # larger than the map, and of no use to it
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
    root = write_pictures(tmp_path / "data", {"train": 2, "val": 1, "test": 1})
    (root / "test" / "owl" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ImageReadError, match=r"test/owl/0.png as an image"):
        train(configure(f"dataset.root={root}", *options))
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_raises_on_a_folder_in_use(configure: Configure, finished: Path) -> None:
    with pytest.raises(ConfigError, match="holds a run already; add resume=True"):
        train(configure(f"run_dir={finished}"))


def test_raises_on_nothing_to_resume(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*config.yaml; run_dir must name"):
        configure("resume=true")
    with pytest.raises(ConfigError, match=r"there is no .*last.ckpt; with resume"):
        train(configure().model_copy(update={"resume": True}))


def test_finished_run_is_left_alone(configure: Configure, finished: Path) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    with pytest.raises(
        ConfigError, match="has finished its 2 epochs; raise epochs to train longer"
    ):
        train(configure("resume=true", f"run_dir={finished}"))
    assert {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


def test_mistake_leaves_no_folder(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="taps"):
        train(configure("backbone.taps=[9]"))
    assert not (tmp_path / "run").exists()


def test_resume_raises_on_other_classes(
    configure: Configure, finished: Path, tmp_path: Path
) -> None:
    other = write_pictures(tmp_path / "data", {"train": 2, "val": 1, "test": 1}, ("cat", "dog"))
    with pytest.raises(CheckpointError, match="has 3 classes, the dataset has 2 now"):
        train(configure("resume=true", "epochs=3", f"run_dir={finished}", f"dataset.root={other}"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("regions.num_clusters=0", "num_clusters must be"),
        ("backbone.kwargs.nonsense=1", "nonsense"),
        ("model.head.nonsense=1", "nonsense"),
        ("backbone.taps=[9]", "tap"),
        (
            "image_size=20",
            "gives a map of 1 x 1 cells, the head pools regions to 2 x 2; use a larger image_size",
        ),
    ],
)
def test_raises_on_options(configure: Configure, option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configure(option))


def test_fp16(
    configure: Configure, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half precision with a gradient scaler learns what float32 learns.

    Lightning gives it to GPUs alone, torch to CPUs too.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.plugins.precision import MixedPrecision

    original, scaler = pl.Trainer, torch.amp.GradScaler("cpu", init_scale=2.0**10)

    def trainer(*, precision: str, plugins: list, **options: object) -> pl.Trainer:
        assert precision == "16-mixed"
        return original(plugins=[*plugins, MixedPrecision(precision, "cpu", scaler)], **options)

    monkeypatch.setattr(pl, "Trainer", trainer)
    train(configure("test=false", "trainer.precision=16-mixed"))
    assert scaler.get_scale() >= 2.0**10, "no gradient overflowed"
    assert set(
        torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["MixedPrecision"]
    ) == set(scaler.state_dict())
    losses = [
        [float(row["train/loss_epoch"]) for row in RunFolder(folder).read_history()]
        for folder in (finished, tmp_path / "run")
    ]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.05)
