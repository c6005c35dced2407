"""The report says what was measured, and opens in browsers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from tests.browser import open_browser
from tests.evaluation.conftest import CLASSES, make_run


def test_value_report_shows_the_numbers_and_no_address(runs: tuple[Path, Path]) -> None:
    path = write_report(runs[0], baseline=runs[1])
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


def test_raises_on_folders_that_are_no_finished_runs(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no metrics\.json"):
        write_report(tmp_path)
    other = make_run(tmp_path, "other", images=20)
    with pytest.raises(ConfigError, match="same images and classes"):
        write_report(runs[0], baseline=other)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("no_attention", "has no attention: all regions count alike"),
        ("full", "not separated the regions"),
    ],
)  # fmt: skip
def test_value_regions_that_are_not_separated_are_not_ranked(
    runs: tuple[Path, Path], tmp_path: Path, variant: str, words: str
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
    assert words in page
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
        root = "document.documentElement"
        wide = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    assert wide <= 0
    assert log.problems == []
    assert [url for url in log.requests if not url.startswith(("file:", "data:"))] == []
    assert json.loads((path.parent / "metrics.json").read_text())["num_images"] == 1024
