"""A run with several labels per image, from a CSV to the page about it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn import metrics

from agnet_vision import load_model
from agnet_vision.data.image import read_image
from agnet_vision.data.sources.samples import DatasetWarning
from agnet_vision.errors import CheckpointError, ConfigError
from agnet_vision.evaluation.label_scores import ThresholdWarning
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.explain.explanation import explain
from agnet_vision.options.resolve import correction_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.predict.predictor import Predictor
from agnet_vision.studies.search import open_study, run_search
from agnet_vision.studies.space import Search
from agnet_vision.task import MultiLabel
from agnet_vision.training.correct import correct
from agnet_vision.training.evaluate import evaluate
from agnet_vision.training.train import train
from benchmarks.child import write_images
from tests.training.tiny import TINY, evaluation, interrupt_after, training

LABELS = ("claws", "fur", "wings")
OF_CLASS = {"cat": (1, 1, 0), "dog": (0, 1, 0), "owl": (1, 0, 1)}
COUNTS = {"train": 30, "val": 10, "test": 6}
pytestmark = pytest.mark.filterwarnings(
    "ignore::agnet_vision.evaluation.label_scores.ThresholdWarning"
)


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images, and their labels as names and as zeros and ones, one of which is unknown."""
    root = write_images(tmp_path_factory.mktemp("labeled"), COUNTS)
    rows = [
        (path.relative_to(root).as_posix(), OF_CLASS[path.parent.name], path.parent.parent.name)
        for path in sorted(root.rglob("*.png"))
    ]
    names = ["path,labels,split"]
    columns = [f"path,{','.join(LABELS)},split"]
    for number, (path, values, split) in enumerate(rows):
        shown = "|".join(name for name, value in zip(LABELS, values, strict=True) if value)
        names.append(f"{path},{shown},{split}")
        cells = [str(value) for value in values]
        cells[1] = cells[1] if number % 5 else "?"
        columns.append(f"{path},{','.join(cells)},{split}")
    (root / "names.csv").write_text("\n".join(names))
    (root / "columns.csv").write_text("\n".join(columns))
    return root


@pytest.fixture
def configure(labeled: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    places = (f"dataset.root={labeled}", f"dataset.csv={labeled / 'names.csv'}")
    return lambda *words: training(*TINY, *places, f"run_dir={tmp_path / 'run'}", *words)


@pytest.fixture(scope="module")
def run(labeled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = (f"dataset.root={labeled}", f"dataset.csv={labeled / 'names.csv'}")
    train(training(*TINY, *words, f"run_dir={folder}", "tta=whole", "epochs=3"))
    return folder


def read_table(folder: Path) -> tuple[np.ndarray, np.ndarray, list[set[str]]]:
    """Read the labels, probabilities and decisions of a run with nothing of ours."""
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sets = [{*row["labels"].split("|")} for row in rows]
    label = np.array([[int(name in names) for name in LABELS] for names in sets])
    probability = np.array([[float(row[f"probability_{name}"]) for name in LABELS] for row in rows])
    return label, probability, [{*filter(None, row["predicted"].split("|"))} for row in rows]


def test_value_scores_are_those_of_the_table(run: Path) -> None:
    """Scikit-learn finds the same on the rows of the test, whose views were averaged."""
    found = json.loads((run / "metrics.json").read_text())
    label, probability, given = read_table(run)
    assert len(label) == 18
    thresholds = [found["per_class"][name]["threshold"] for name in LABELS]
    decided = (probability.astype(np.float32) >= np.float32(thresholds)).astype(int)
    assert given == [{n for n, each in zip(LABELS, row, strict=True) if each} for row in decided]
    expected = {
        "mAP": metrics.average_precision_score(label, probability),
        "micro_mAP": metrics.average_precision_score(label, probability, average="micro"),
        "macro_F1": metrics.f1_score(label, decided, average="macro"),
        "exact_match": metrics.accuracy_score(label, decided),
        "ranking_loss": metrics.label_ranking_loss(label, probability),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["mAP"] > 0.7  # it has learned something


def test_value_the_network_keeps_task_and_thresholds(run: Path, tmp_path: Path) -> None:
    model = load_model(run)
    found = json.loads((run / "metrics.json").read_text())
    assert model.task.settings() == found["task"]
    assert isinstance(model.task, MultiLabel)
    assert len(model.task.thresholds) == 3
    model.save_pretrained(tmp_path / "saved")
    assert load_model(tmp_path / "saved").task == model.task
    assert "any number of them" in (tmp_path / "saved" / "README.md").read_text()


def test_value_evaluation_repeats_the_test(run: Path, labeled: Path, tmp_path: Path) -> None:
    done = evaluate(
        evaluation(f"checkpoint={run}", f"run_dir={tmp_path / 'again'}", *PLACES(labeled))
    )
    before, after = (RunFolder(each).read_metrics() for each in (run, done.folder))
    for name in MultiLabel.headline:
        assert after[name] == pytest.approx(before[name], abs=1e-6)

    # Of other columns, in another order, and with what is unknown.
    words = (f"dataset.csv={labeled / 'columns.csv'}", "dataset.label_columns=[wings,fur,claws]")
    done = evaluate(
        evaluation(f"checkpoint={run}", f"run_dir={tmp_path / 'other'}", *PLACES(labeled, *words))
    )
    other = RunFolder(done.folder).read_metrics()
    assert other["per_class"]["wings"] == pytest.approx(after["per_class"]["wings"], abs=1e-6)
    assert other["per_class"]["fur"]["num_images"] < after["per_class"]["fur"]["num_images"]


def PLACES(root: Path, *words: str) -> tuple[str, ...]:
    own = (f"dataset.root={root}", f"dataset.csv={root / 'names.csv'}")
    return ("dataset=folder", *((words and (own[0], *words)) or own), "trainer=cpu", "report=false")


def test_value_predict_and_explain(run: Path, labeled: Path) -> None:
    model = load_model(run)
    path = labeled / "test" / "owl" / "0.png"
    assert isinstance(model.task, MultiLabel)
    (row,) = Predictor(model)([path])
    reached = row.probabilities >= np.float32(model.task.thresholds)
    assert {*row.predicted} == {name for name, each in zip(LABELS, reached, strict=True) if each}
    assert len(row.top(2)) == 2

    explanation = explain(model, read_image(path), label="wings")
    assert explanation.target == LABELS.index("wings")
    parts = explanation.bias + explanation.evidence.sum(axis=0)
    np.testing.assert_allclose(parts, explanation.logits, atol=1e-4)
    sigmoid = 1 / (1 + np.exp(-explanation.logits))
    np.testing.assert_allclose(explanation.probabilities, sigmoid, atol=1e-6)
    with pytest.raises(ValueError, match="label must be one of claws, fur, wings, got 'tail'"):
        explain(model, read_image(path), label="tail")


def test_value_report(run: Path) -> None:
    page = write_report(run, baseline=run).read_text()
    for title in ("Labels", "Labels that come together", "Calibration", "Most confident misses"):
        assert f"<h2>{title}</h2>" in page
    assert "<h2>Confusion" not in page


def test_value_resume_is_exact(
    configure: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("loss.class_weights=balanced", "loss.name=asymmetric", "test=false")
    whole, parts = (f"run_dir={tmp_path / name}" for name in ("whole", "parts"))
    train(configure(*options, whole))
    with monkeypatch.context() as patch:
        interrupt_after(7, patch)
        with pytest.raises(KeyboardInterrupt):
            train(configure(*options, parts))
    train(configure(*options, parts, "resume=true"))
    one, other = (
        torch.load(tmp_path / n / "best.ckpt", weights_only=True) for n in ("whole", "parts")
    )
    assert one["agnet"] == other["agnet"]
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name


def test_value_unknown_labels_train(configure: Callable[..., TrainConfig], labeled: Path) -> None:
    words = (f"dataset.csv={labeled / 'columns.csv'}", "dataset.label_columns=[fur,wings]")
    with pytest.warns(DatasetWarning, match="columns that are not used: claws"):
        done = train(configure(*words, "epochs=1", "model=backbone_only", "monitor=macro_F1"))
    assert set(RunFolder(done.folder).read_metrics()["per_class"]) == {"fur", "wings"}


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("sampler=balanced", "sampler=balanced needs one label per image"),
        ("calibration=temperature", "calibration=temperature needs one label per image"),
        ("guide.marks=m.csv guide.weight=1", "guide.marks needs one label per image"),
        ("monitor=acc", "monitor must be one of mAP"),
    ],
)
def test_raises_what_needs_one_label(
    configure: Callable[..., TrainConfig], tmp_path: Path, word: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        train(configure(*word.split()))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_raises_a_correction(run: Path, labeled: Path, tmp_path: Path) -> None:
    words = {
        "checkpoint": str(run),
        "marks": str(labeled / "names.csv"),
        "run_dir": str(tmp_path / "c"),
    }
    with pytest.raises(ConfigError, match="agnet correct needs one label per image"):
        correct(correction_options(words))


def test_value_a_search_finds_the_score_of_its_network(labeled: Path, tmp_path: Path) -> None:
    """Scikit-learn finds it on the validation images; a search for another task's is refused."""
    given = dict(word.split("=", 1) for word in TINY)
    base = {name: yaml.safe_load(value) for name, value in given.items()}
    base |= {"dataset.root": str(labeled), "dataset.csv": str(labeled / "names.csv")}
    search = Search(base, {"image_size": [48]}, metric="mAP")
    with pytest.raises(ConfigError, match=r"metric must be one of mAP, .* got 'acc'"):
        run_search(replace(search, metric="acc"), tmp_path, 1)

    run_search(search, tmp_path, 1)
    place = f"run_dir={tmp_path / 'again'}"
    trial = f"checkpoint={tmp_path / 'trials' / '0' / 'best.ckpt'}"
    evaluate(evaluation(trial, place, "split=val", *PLACES(labeled)))
    label, probability, _ = read_table(tmp_path / "again")
    found = open_study(search, tmp_path).best_value
    assert found == pytest.approx(metrics.average_precision_score(label, probability), abs=1e-6)


def test_raises_another_task(run: Path, labeled: Path, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(
        "path,label\ntest/cat/0.png,claws\ntest/dog/0.png,fur\ntest/owl/0.png,wings"
    )
    words = (f"checkpoint={run}", f"run_dir={tmp_path / 'x'}", "dataset=folder")
    words += (f"dataset.csv={tmp_path / 'one.csv'}",)
    with pytest.raises(
        CheckpointError, match="network of the task multi_label, dataset=folder has"
    ):
        evaluate(evaluation(*words, f"dataset.root={labeled}", "trainer=cpu"))


def test_warns_of_thresholds_that_cannot_be_fitted(
    configure: Callable[..., TrainConfig], recwarn: pytest.WarningsRecorder
) -> None:
    with pytest.warns(ThresholdWarning, match=r"stay 0\.5"):
        train(configure("epochs=1", "optimizer.lr=0", "optimizer.backbone_lr=0", "test=false"))
