"""The report of a corrected run says what was gained and lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from agnet_vision.evaluation.correction_report import verdict, worst_groups
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.statistics import Interval
from tests.browser import open_browser
from tests.evaluation.conftest import make_run

STEP = {"accuracy": 0.7, "evidence": 0.4, "evidence_kept_out": 0.8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a corrected run with two groups, and the scores of the network before."""
    root = tmp_path_factory.mktemp("corrected")
    path, before = make_run(root, "new", seed=1), make_run(root, "old")
    folder = RunFolder(path)
    folder.before.path.mkdir()
    for name in ("metrics.json", "predictions.csv"):
        shutil.copy(before / name, folder.before.path / name)
    rows = [f"{number}.png,bee,test,{'ab'[number % 2]}" for number in range(24)]
    folder.splits.write_text("\n".join(["path,label,split,group", *rows]) + "\n")
    shown = {"path": "3.png", "split": "test", "label": "bee", "boxes": [[0.1, 0.1, 0.4, 0.5]]}
    folder.write_correction(
        {
            "checkpoint": str(before / "saved"),
            "weight": 10.0,
            "before": {"weight": 0.0, **STEP},
            "path": [{"weight": 0.0, **STEP}, {"weight": 10.0, **STEP, "evidence_kept_out": 0.2}],
            "marked_images": {"train": 5, "val": 0, "test": 1},
            "evidence_inside_other_marks": {"test": {"before": 0.9, "after": 0.3}},
            "shown": [shown],
        }
    )
    return path


def test_value_the_page_has_both_scores_and_the_evidence(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    part = page[page.index("<h2>Correction</h2>") : page.index("<h2>Learning curves</h2>")]
    for folder in (RunFolder(run), RunFolder(run).before):
        assert f"{100 * folder.read_metrics()['acc']:.1f}&nbsp;%" in part
    assert "went from 0.8 to 0.2 (-75&nbsp;%)" in part
    assert "Inside the marks of 1 test images" in part
    assert "test image, marked: 3.png" in part
    assert "Against the baseline" not in page
    assert "Against the baseline" in write_report(run, baseline=run.parent / "old").read_text()


def test_value_the_worst_groups_by_hand(run: Path) -> None:
    after, before = RunFolder(run).read_results(), RunFolder(run).before.read_results()
    own = {"a": np.arange(24) % 2 == 0, "b": np.arange(24) % 2 == 1}
    worst = {min(own, key=lambda name: each.hits[own[name]].mean()) for each in (before, after)}
    changes = worst_groups(after, before)
    assert {change.name for change in changes} == worst
    for change in changes:
        was, now = (each.hits[own[change.name]].mean() for each in (before, after))
        assert (change.before, change.after, change.images) == (
            pytest.approx(was), pytest.approx(now), 12,
        )  # fmt: skip
        assert change.difference.low <= now - was <= change.difference.high


@pytest.mark.parametrize(
    ("has_left", "ends", "words"),
    [
        (True, (0.01, 0.1), "Evidence has left the marks; accuracy on the test images rose."),
        (True, (-0.1, -0.01), "Evidence has left the marks; accuracy on the test images was lost."),
        (True, (-0.1, 0.1), "accuracy on the test images did not change measurably"),
        (False, (-0.1, 0.1), "Nothing was gained"),
        (True, (np.nan, np.nan), "did not change measurably"),
    ],
)
def test_value_what_was_gained_is_said_plainly(
    has_left: bool, ends: tuple[float, float], words: str
) -> None:
    assert words in verdict(has_left, Interval(0.0, *ends))


def test_value_nothing_is_gained_where_no_marks_were_kept_out(run: Path, tmp_path: Path) -> None:
    copy = RunFolder(shutil.copytree(run, tmp_path / "run"))
    told = copy.read_correction()
    for each in (told["before"], *told["path"]):
        each["evidence_kept_out"] = 0.0
    copy.write_correction(told)
    assert "Nothing was gained" in write_report(copy.path).read_text(encoding="utf-8")


def test_a_network_before_that_is_gone_is_said(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    told = RunFolder(copy).read_correction()
    RunFolder(copy).write_correction({**told, "checkpoint": str(tmp_path / "gone.ckpt")})
    assert "is no longer at" in write_report(copy).read_text()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_value_the_part_fits_a_phone(run: Path, scheme: str) -> None:
    path = write_report(run)
    with open_browser(width=390, scheme=scheme) as (page, log):
        page.goto(path.as_uri())
        root = "document.documentElement"
        wide = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    assert wide <= 0
    assert log.problems == []
