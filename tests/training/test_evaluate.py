"""A checkpoint scored again: the same numbers and images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss

from agnet_vision.data.sources.samples import DatasetWarning
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.models.agnet import load_model
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.train import train
from benchmarks.child import write_images
from tests.training.tiny import Configure, Evaluate, checkpoint, read_rows


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
    found = evaluate(configure_evaluation(f"checkpoint={checkpoint}", "tta=whole"))
    rows = read_rows(found.folder)
    assert json.loads((found.folder / "metrics.json").read_text())["tta"] == "whole"
    root = Path(json.loads((finished / "metrics.json").read_text())["root"])
    predictor = Predictor(load_model(checkpoint), tta="whole")
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


def test_scores_of_a_sharp_network_equal_sklearn_on_its_predictions(
    copy: Path, configure_evaluation: Evaluate
) -> None:
    best = checkpoint(copy, "best.ckpt")
    best["state_dict"]["model.head.classifier.linear.weight"] *= 1000
    torch.save(best, copy / "best.ckpt")
    found = evaluate(configure_evaluation(f"checkpoint={copy / 'best.ckpt'}", "tta=whole"))
    assert found.metrics is not None

    rows, classes = read_rows(found.folder), list(found.metrics["per_class"])
    label = np.array([classes.index(row["label"]) for row in rows])
    values = [[float(row[f"probability_{name}"]) for name in classes] for row in rows]
    probability = np.array(values, np.float32)
    ap = [average_precision_score(label == k, probability[:, k]) for k in range(3)]
    assert found.metrics["mAP"] == pytest.approx(np.mean(ap), abs=1e-6)
    assert found.metrics["loss"] == pytest.approx(log_loss(label, np.array(values)), abs=1e-6)


def score_folder(configure_evaluation: Evaluate, finished: Path, *words: str) -> dict:
    scores = evaluate(configure_evaluation(f"checkpoint={finished / 'best.ckpt'}", *words)).metrics
    assert scores is not None
    return scores


def test_all_images_of_a_folder_without_parts_are_scored(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "new", {"all": 8}) / "all"
    scores = score_folder(configure_evaluation, finished, f"dataset.root={root}")
    assert scores["num_images"] == 24
    rows = "".join(
        f"{path.relative_to(root)},{path.parent.name}\n" for path in root.glob("*/*.png")
    )
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}")
    again = (f"dataset.root={root}", f"dataset.csv={tmp_path / 'list.csv'}")
    listed = score_folder(configure_evaluation, finished, *again)
    assert (listed["num_images"], listed["acc"]) == (24, scores["acc"])


@pytest.mark.parametrize("listed", [False, True])
def test_a_test_split_alone_is_scored(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path, listed: bool
) -> None:
    root = write_images(tmp_path / "new", {"test": 4})
    words = [f"dataset.root={root}"]
    if listed:
        rows = "".join(f"test/{name}/1.png,{name},test\n" for name in ("cat", "dog", "owl"))
        (root / "list.csv").write_text(f"path,label,split\n{rows}")
        words += [f"dataset.csv={root / 'list.csv'}", "dataset.group_regex=nothing"]
    scores = score_folder(configure_evaluation, finished, *words)
    assert scores["num_images"] == (3 if listed else 12)
    with pytest.raises(DatasetError, match=r"no images in its val split .*; it has test"):
        score_folder(configure_evaluation, finished, *words, "split=val")


def test_a_class_without_images_has_no_ap_and_is_named(
    finished: Path, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "new", {"all": 5}, ("cat", "owl")) / "all"
    (root / "dog").mkdir()
    with pytest.warns(DatasetWarning, match="no test image of dog: without an AP"):
        scores = score_folder(configure_evaluation, finished, f"dataset.root={root}")
    assert (scores["num_images"], scores["per_class"]["dog"]["ap"]) == (10, None)
    (root / "dog").rename(root / "yak")
    cv2.imwrite(str(root / "yak" / "1.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(
        DatasetError, match="yak: there is no such class in training, which has cat,"
    ):
        score_folder(configure_evaluation, finished, f"dataset.root={root}")


def test_other_images_with_the_names_of_those_trained_on(
    configure: Configure, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "data", {"all": 12}) / "all"
    train(configure("epochs=1", f"dataset.root={root}"))
    moved = shutil.copytree(root, tmp_path / "moved")
    words = (
        f"checkpoint={tmp_path / 'run'}",
        "dataset.test_fraction=0.9",
        "dataset.val_fraction=0",
    )
    again = f"run_dir={tmp_path / 'again'}"
    scores = evaluate(configure_evaluation(*words, f"dataset.root={moved}", again)).metrics
    assert scores is not None
    tested = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert scores["num_images"] == tested["num_images"], "the same images: the run's own split"
    (moved / "cat" / "0.png").write_bytes((moved / "dog" / "1.png").read_bytes())
    for count in (36, 35):
        with pytest.warns(DatasetWarning, match="have names of images the network was trained on"):
            scores = evaluate(configure_evaluation(*words, f"dataset.root={moved}", again)).metrics
        assert scores is not None
        assert scores["num_images"] == count, "other images: all of them"
        (moved / "cat" / "0.png").unlink(missing_ok=True)


def test_evaluate_raises_on_damaged_options(configure_evaluation: Evaluate, copy: Path) -> None:
    (copy / "config.yaml").write_text("seed: [")
    with pytest.raises(
        ConfigError, match=r"config.yaml must be options in YAML, and is damaged; without the file"
    ):
        evaluate(configure_evaluation(f"checkpoint={copy}"))


def test_evaluate_leaves_another_evaluation_alone(
    configure_evaluation: Evaluate, copy: Path, tmp_path: Path
) -> None:
    words = (f"checkpoint={copy}", f"run_dir={tmp_path / 'scores'}")
    evaluate(configure_evaluation(*words))
    evaluate(configure_evaluation(*words))  # the same again
    with pytest.raises(ConfigError, match="another evaluation, with tta=none; name another"):
        evaluate(configure_evaluation(*words, "tta=whole"))


def test_evaluate_leaves_a_run_alone(configure_evaluation: Evaluate, copy: Path) -> None:
    with pytest.raises(ConfigError, match="holds a training run"):
        evaluate(configure_evaluation(f"checkpoint={copy}", f"run_dir={copy}"))


def test_evaluate_splits_as_the_run_did(
    configure: Configure, configure_evaluation: Evaluate, tmp_path: Path
) -> None:
    root = write_images(tmp_path / "data", {"all": 12}) / "all"
    data, run_dir = f"dataset.root={root}", tmp_path / "seeded"
    train(configure("epochs=1", "seed=3", data, f"run_dir={run_dir}"))
    given = (f"checkpoint={run_dir}", data, f"run_dir={tmp_path / 'again'}")
    evaluate(configure_evaluation(*given))
    tested = [(folder / "predictions.csv").read_text() for folder in (run_dir, tmp_path / "again")]
    assert [line.split(",")[0] for line in tested[0].splitlines()] == [
        line.split(",")[0] for line in tested[1].splitlines()
    ]
    assert json.loads((tmp_path / "again" / "metrics.json").read_text())["seed"] == 3
    for option, message in (
        ("seed=0", "give seed=3"),
        ("dataset.test_fraction=0.5", "give dataset.test_fraction=0.2"),
    ):
        with pytest.raises(
            ConfigError, match=f"may draw another split than the run did, .*; {message}"
        ):
            evaluate(configure_evaluation(*given, option))
