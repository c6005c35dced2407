"""The report's numbers against other libraries, and the page in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from agnet_vision.data.sources.listing import Sample
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import read_run
from agnet_vision.evaluation.statistics import (
    calibration,
    interval,
    mcnemar,
    metric_samples,
    resample_counts,
    weighted_average_precision,
)
from agnet_vision.models.agnet import AGNet
from agnet_vision.training.artifacts import write_json, write_predictions
from tests.browser import open_browser

CLASSES = ("bee", "wasp, wild", "<b>fly</b>", "10")


def random_predictions(
    pictures: int, classes: int, *, seed: int = 0, skill: float = 1.0
) -> Predictions:
    rng = np.random.default_rng(seed)
    label = np.arange(pictures) % classes
    logits = rng.normal(size=(pictures, classes)) + skill * np.eye(classes)[label]
    probability = torch.from_numpy(logits).float().softmax(1)
    return Predictions(torch.arange(pictures), torch.from_numpy(label), probability)


def make_run(
    root: Path, name: str, *, classes: tuple[str, ...] = CLASSES, pictures: int = 24, seed: int = 0
) -> Path:
    """Write a run folder as training does, over generated pictures."""
    rng = np.random.default_rng(0)
    data, run = root / "data", root / name
    data.mkdir(exist_ok=True)
    run.mkdir()
    samples = []
    for number in range(pictures):
        path = data / f"{number}.png"
        if number < 40 and not path.exists():
            pixels = rng.integers(0, 256, (10, 14, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(pixels).save(path)
        samples.append(
            Sample(path if number < 40 else data / f"{number % 40}.png", number % len(classes))
        )
    predictions = random_predictions(pictures, len(classes), seed=seed, skill=2.0 + seed)
    record = {"seed": seed, "root": str(data), "checkpoint": str(run / "saved")}
    write_json(
        run / "metrics.json",
        {"dataset": "folder", "split": "test", **score(predictions, classes), **record},
    )
    write_predictions(run / "predictions.csv", predictions, samples, classes, data)
    write_json(
        run / "run.json",
        {"command": "python tools/train.py <x>", "versions": {"torch": "2"}, **record},
    )
    (run / "config.yaml").write_text("dataset:\n  name: folder\n")
    (run / "csv" / "version_0").mkdir(parents=True)
    lines = [f"{e},{9 - e},{2 / (e + 1)},{2.2 / (e + 1)},{e / 10},{e / 12}" for e in range(6)]
    header = "epoch,step,train/loss_epoch,val/loss,val/acc,val/mAP"
    (run / "csv" / "version_0" / "metrics.csv").write_text("\n".join([header, *lines]) + "\n")
    torch.manual_seed(0)
    AGNet("test_resnet", len(classes), num_clusters=3, classes=classes).save_pretrained(
        run / "saved"
    )
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("runs")
    return make_run(root, "first", seed=1), make_run(root, "second")


def test_value_average_precision_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    positive, value = rng.random(60) < 0.3, rng.integers(0, 12, 60) / 12  # ties
    counts = rng.integers(0, 3, (5, 60)).astype(np.float32)
    found = weighted_average_precision(positive, value, counts)
    for row, weights in enumerate(counts):
        assert found[row] == pytest.approx(
            average_precision_score(positive, value, sample_weight=weights), abs=1e-6
        )


def test_value_metrics_on_a_resample_equal_those_of_the_repeated_pictures() -> None:
    _, label, probability = (t.numpy() for t in random_predictions(80, 7))
    counts = resample_counts(80)[:3]
    found = metric_samples(label, probability, counts)
    for row in range(3):
        chosen = np.repeat(np.arange(80), counts[row])
        scores = score(
            Predictions(*(torch.from_numpy(a[chosen]) for a in (chosen, label, probability))),
            tuple("abcdefg"),
        )
        for name, samples in found.items():
            assert samples[row] == pytest.approx(scores[name], abs=1e-5), name
        balanced = balanced_accuracy_score(label[chosen], probability[chosen].argmax(1))
        assert found["mean_per_class_acc"][row] == pytest.approx(balanced, abs=1e-6)


def test_value_interval_covers_like_the_normal_approximation() -> None:
    correct = np.arange(400) % 4 != 0
    probability = np.stack([correct, ~correct], axis=1).astype(np.float32)
    found = interval(metric_samples(np.zeros(400, int), probability, resample_counts(400))["acc"])
    assert found.value == 0.75
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.1)


def test_value_mcnemar_and_calibration_by_hand() -> None:
    first, second = np.array([1, 1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 0, 1, 0], bool)
    assert mcnemar(first, second) == (3, 1, pytest.approx(0.625))  # binomial: 2 (1 + 4) / 16
    found = calibration(np.array([0.6, 0.6, 0.9, 0.9]), np.array([True, False, True, True]), bins=2)
    assert found.error == pytest.approx(0.1)
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])


def test_value_report_shows_the_numbers_and_no_address(runs: tuple[Path, Path]) -> None:
    path = write_report(runs[0], baseline=runs[1])
    page, run = path.read_text(encoding="utf-8"), read_run(runs[0])
    assert f"{100 * run.scores['acc']:.1f} %" in page
    assert "&lt;b&gt;fly&lt;/b&gt;" in page
    assert "python tools/train.py &lt;x&gt;" in page
    assert page.count("<figure>") >= 13
    assert path.stat().st_size < 5_000_000
    # Names of XML dialects are no addresses that a browser would call.
    addresses = re.findall(r"(?:src|(?<!:)href)=\"(?!data:|#)[^\"]*|url\((?!#)[^)]*", page)
    assert addresses == []
    assert "var(--ink)" in page
    assert "#010203" not in page


def test_raises_on_folders_that_are_no_finished_runs(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no metrics\.json"):
        write_report(tmp_path)
    other = make_run(tmp_path, "other", pictures=20)
    with pytest.raises(ConfigError, match="same pictures and classes"):
        write_report(runs[0], baseline=other)


@pytest.fixture(scope="module")
def report_of_256_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = tuple(f"class_{k:03d}" for k in range(256))
    return write_report(
        make_run(tmp_path_factory.mktemp("many"), "many", classes=names, pictures=1024)
    )


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_value_report_opens_without_a_console_error(
    report_of_256_classes: Path, scheme: str
) -> None:
    path = report_of_256_classes
    assert path.stat().st_size < 5_000_000
    with open_browser(width=390 if scheme == "dark" else 1280, scheme=scheme) as (page, log):
        page.goto(path.as_uri())
        page.locator("#matrix .area").scroll_into_view_if_needed()
        page.locator("#matrix .area").hover(position={"x": 5, "y": 5})
        assert re.fullmatch(
            r"class_\d+ taken for class_\d+: \d+ of 4", page.locator("#matrix output").inner_text()
        )
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    assert wide <= 0
    assert log.problems == []
    assert [url for url in log.requests if not url.startswith(("file:", "data:"))] == []
    assert json.loads((path.parent / "metrics.json").read_text())["num_images"] == 1024
