"""The report says what was measured, and opens in browsers."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.report import Headline, _rows_by_class, _verdict, write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.statistics import Interval
from agnet_vision.explain.figures import UNIFORM
from agnet_vision.models.agnet import AGNet
from tests.browser import open_browser
from tests.evaluation.conftest import CLASSES, make_run


def test_value_report_shows_the_numbers_and_no_address(runs: tuple[Path, Path]) -> None:
    path = write_report(runs[0], baseline=runs[1])
    assert path.name == "report_against_second.html"  # the run's own report stays
    page, run = path.read_text(encoding="utf-8"), RunFolder(runs[0]).read_results()
    assert f"{100 * run.scores['acc']:.1f} %" in page
    assert "&lt;b&gt;fly&lt;/b&gt;" in page
    assert "wasp, $wild$" in page
    assert "python tools/train.py &lt;x&gt;" in page
    assert page.count("<figure>") >= 13
    assert path.stat().st_size < 5_000_000
    # Names of XML dialects are no addresses that a browser would call.
    addresses = re.findall(r"(?:src|(?<!:)href)=\"(?!data:|#)[^\"]*|url\((?!#)[^)]*", page)
    assert addresses == []
    assert "var(--ink)" in page
    assert "#010203" not in page


def test_value_tested_epoch_and_the_monitor_lead(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"best_epoch": 4}))
    (run / "config.yaml").write_text("monitor: mAP\n")
    page = write_report(run).read_text(encoding="utf-8")
    assert "Tested: the weights of epoch 4 of 6, the best by <code>mAP</code>." in page
    assert page.count("tested epoch") == 2  # marked in both figures of curves
    # All classes have 6 images, so the mean over them is the mean over all.
    tiles = re.findall(r'class="tile">([^<]*)<b>', page)
    assert tiles == ["mAP", "Accuracy, mean per-class accuracy"]


def test_value_precision_and_f1_of_each_class(runs: tuple[Path, Path]) -> None:
    run = RunFolder(runs[0]).read_results()
    for name, row in _rows_by_class(run):
        k = run.classes.index(name)
        given, own = run.predicted == k, run.label == k
        hits = int((given & own).sum())
        assert row["recall"] == pytest.approx(row["acc"])
        assert row["precision"] == pytest.approx(hits / max(given.sum(), 1))
        assert row["f1"] == pytest.approx(2 * hits / (given.sum() + own.sum()))


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.021, 0.003, 0.039), "mAP is 2.1 points above the baseline's: more than chance."),
        ((-0.01, -0.03, 0.01), "mAP is 1.0 points below the baseline's: within chance."),
        ((-1e-9, -0.03, 0.01), "mAP is the baseline's, to 0.1 points: within chance."),
        ((0.1, math.nan, math.nan), "mAP is 10.0 points above the baseline's: chance unknown"),
    ],
)
def test_value_verdict_in_words(interval: tuple[float, float, float], words: str) -> None:
    difference = Interval(*interval)
    assert _verdict(Headline("mAP", difference, difference, difference)).startswith(words)


def test_raises_on_folders_that_are_no_finished_runs(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no metrics\.json"):
        write_report(tmp_path)
    other = make_run(tmp_path, "other", images=20)
    with pytest.raises(ConfigError, match="same images and classes"):
        write_report(runs[0], baseline=other)


@pytest.mark.parametrize(
    ("variant", "is_said"),
    [("no_attention", False), ("full", True)],  # of no attention there is nothing to say
)
def test_value_regions_that_are_not_separated_are_not_ranked(
    runs: tuple[Path, Path], tmp_path: Path, variant: str, is_said: bool
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    torch.manual_seed(0)
    model = AGNet("test_resnet", 4, num_clusters=3, classes=CLASSES, variant=variant)
    if variant == "full":
        with torch.no_grad():
            model.head.region_attention.project.weight.zero_()  # nothing tells regions apart
    model.save_pretrained(run / "other")
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"checkpoint": str(run / "other")}))
    page = write_report(run).read_text(encoding="utf-8")
    assert (UNIFORM in page) == is_said
    assert "most important regions" not in page


@pytest.fixture(scope="module")
def report_of_256_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = tuple(f"class_{k:03d}" for k in range(256))
    return write_report(
        make_run(tmp_path_factory.mktemp("many"), "many", classes=names, images=1024)
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
        said = re.compile(r"^class_\d+ taken for class_\d+: \d+ of 4$")
        expect(page.locator("#matrix output")).to_have_text(said)
        precision = page.get_by_role("button", name="precision")
        shown = page.locator(".sortable td:nth-child(5)")
        for falls in (True, False):  # the first click shows the highest first
            precision.click()
            values = [float(text) for text in shown.all_text_contents()]
            assert values == sorted(values, reverse=falls)
            assert len(set(values)) > 1
        root = "document.documentElement"
        wide = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    assert wide <= 0
    assert log.problems == []
    assert [url for url in log.requests if not url.startswith(("file:", "data:"))] == []
    assert json.loads((path.parent / "metrics.json").read_text())["num_images"] == 1024
