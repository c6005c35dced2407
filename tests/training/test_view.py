"""The view of validation and test images: in the network, and followed by all who ask it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agnet_vision.data.preprocessing import change_view
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.report import write_report
from agnet_vision.models.agnet import AGNet, load_model
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training.build import build_data, build_model
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.train import train
from tests.training.tiny import Configure, Evaluate, checkpoint, read_rows

CLASSES = ("cat", "dog", "owl")
KEYS = ("input_size", "crop_mode", "crop_pct")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ((3, 48, 48), "center", 1.0)),
        (("augmentation.view=whole",), ((3, 48, 48), "squash", 1.0)),
        (("augmentation.crop_fraction=0.8",), ((3, 48, 48), "center", 0.8)),
        (("augmentation.test_scale=1.3",), ((3, 64, 64), "center", 1.0)),
        (("augmentation.preset=paper",), ((3, 48, 48), "squash", 1.0)),
    ],
)
def test_value_the_network_knows_its_view(
    configure: Configure, words: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    config = build_model(configure(*words), CLASSES).data_config
    assert tuple(config[key] for key in KEYS) == expected


def test_value_training_images_keep_their_size(configure: Configure) -> None:
    """A network with regions answers to both."""
    config = configure("augmentation.test_scale=1.3", "image_size=64")
    model = build_model(config, CLASSES)
    table = read_samples("folder", config.dataset.root, seed=0)
    data = build_data(table, model, config)
    data.prepare_data()
    sizes = {}
    for split in ("train", "val", "test"):
        batch = next(iter(getattr(data, f"{split}_dataloader")()))
        sizes[split] = tuple(batch["image"].shape[-2:])
        assert model(batch["image"]).shape == (len(batch["image"]), 3)
    assert sizes == {"train": (64, 64), "val": (96, 96), "test": (96, 96)}


def test_value_the_grid_of_a_region_is_that_of_training(configure: Configure) -> None:
    words = ("model.head.pool_size=null", "image_size=96")
    same, larger = (
        build_model(configure(*words, f"augmentation.test_scale={scale}"), CLASSES)
        for scale in (1.0, 2.0)
    )
    assert larger.data_config["input_size"] == (3, 192, 192)
    assert same.head.pool_size == larger.head.pool_size == 3


def test_value_a_run_goes_on_at_its_sizes(configure: Configure, tmp_path: Path) -> None:
    scale = "augmentation.test_scale=1.3"
    train(configure(scale, "epochs=1", "test=false"))
    config = configure("resume=true", "epochs=2", "test=true", scale)
    assert (config.image_size, config.augmentation.test_scale) == (48, 1.3)
    run = train(config)
    assert run.load_model().data_config["input_size"] == (3, 64, 64)
    stored = checkpoint(tmp_path / "run")["agnet"]["model"]
    assert (stored["data_config"]["input_size"], stored["head_kwargs"]["pool_size"]) == (
        (3, 64, 64),
        2,
    )

    # What the run said of its test is what the network says of the files.
    predictor = Predictor(run.load_model())
    root = Path(json.loads((run.folder / "metrics.json").read_text())["root"])
    for row in read_rows(run.folder)[:3]:
        (found,) = predictor([root / row["path"]])
        assert found.probabilities is not None
        expected = [float(row[f"probability_{name}"]) for name in CLASSES]
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)


@pytest.mark.parametrize("option", ["view=whole", "crop_fraction=0.9", "test_scale=2.0"])
def test_raises_on_another_view_for_the_best_epoch(
    configure: Configure, copy: Path, option: str
) -> None:
    with pytest.raises(ConfigError, match=r"a run goes on with its own augmentation\."):
        train(configure("resume=true", f"run_dir={copy}", "epochs=2", f"augmentation.{option}"))


@pytest.mark.parametrize(
    ("words", "view"),
    [
        (("image_size=80",), {"image_size": 80}),
        (("view=whole",), {"view": "whole"}),
        (("image_size=96", "view=whole"), {"image_size": 96, "view": "whole"}),
    ],
)
def test_value_evaluate_takes_another_view(
    finished: Path, configure_evaluation: Evaluate, words: tuple[str, ...], view: dict
) -> None:
    found = evaluate(configure_evaluation(f"checkpoint={finished}", *words))
    model = load_model(finished)
    model.data_config = change_view(model.data_config, **view)
    root = Path(json.loads((finished / "metrics.json").read_text())["root"])
    rows, plain = read_rows(found.folder), read_rows(finished)
    predictions = list(Predictor(model)(root / row["path"] for row in rows))
    moved = 0.0
    for row, before, prediction in zip(rows, plain, predictions, strict=True):
        values, own = (
            np.array([float(each[f"probability_{name}"]) for name in CLASSES])
            for each in (row, before)
        )
        assert prediction.probabilities is not None
        np.testing.assert_allclose(values, prediction.probabilities, atol=1e-3)
        moved = max(moved, float(np.abs(values - own).max()))
    assert moved > 1e-4


def test_value_a_report_explains_the_view_that_was_scored(
    finished: Path, configure_evaluation: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = evaluate(configure_evaluation(f"checkpoint={finished}", "image_size=80", "view=whole"))
    asked: list[dict[str, Any]] = []

    def make_cards(run: Any, model: AGNet, root: Path, numbers: Any) -> list[Any]:
        asked.append(model.data_config)
        return []

    monkeypatch.setattr("agnet_vision.evaluation.report.make_cards", make_cards)
    write_report(run.folder)
    for config in asked:
        assert (config["input_size"][-1], config["crop_mode"]) == (80, "squash")
    assert asked


def test_raises_on_the_whole_image_twice(
    finished: Path, configure: Configure, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    message = "tta must be none where the whole image is the view already"
    with pytest.raises(ConfigError, match=message):
        train(configure("augmentation.view=whole", "tta=whole"))
    assert not list((tmp_path / "run").glob("*.ckpt"))
    with pytest.raises(ConfigError, match=message):
        evaluate(configure_evaluation(f"checkpoint={finished}", "view=whole", "tta=whole"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("image_size=0", r"image_size must be a whole number in \[1, 8192\], or null, got 0"),
        ("view=middle", "view must be one of crop, whole, or null, got 'middle'"),
        ("tta=crops", "tta must be one of none, whole, got 'crops'"),
    ],
)
def test_raises_on_a_view_that_is_none(
    configure_evaluation: Evaluate, finished: Path, word: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        configure_evaluation(f"checkpoint={finished}", word)


@pytest.mark.parametrize("scale", ["0.9", "4.1"])
def test_raises_on_a_scale_out_of_bounds(configure: Configure, scale: str) -> None:
    with pytest.raises(ConfigError, match=r"augmentation.test_scale must be a number in \[1, 4\]"):
        configure(f"augmentation.test_scale={scale}")
