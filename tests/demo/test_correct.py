"""The tab *Correct* in a real browser: clicks, an undo, a training, a saved run."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import agnet_vision
from agnet_vision.training.train import train
from benchmarks.child import write_images
from tests.browser import open_browser
from tests.demo.conftest import serve
from tests.training.tiny import TINY, training

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network, with regions."""
    folder = tmp_path_factory.mktemp("run") / "full"
    images = write_images(folder.parent / "images", {"train": 7, "val": 3, "test": 3})
    train(training(*TINY, f"dataset.root={images}", f"run_dir={folder}", "model=full"))
    return folder


def click_middle(page: Page, marks: int) -> None:
    page.locator("#suspect img").click()
    expect(page.locator("#about")).to_contain_text(f"Marks: {marks},")


def test_value_marks_train_again_and_are_saved(run: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with serve(tmp_path, f"checkpoint={run}") as address, open_browser() as (page, log):
        page.goto(address)
        page.get_by_role("tab", name="Correct").click()
        about, outcome = page.locator("#about"), page.locator("#outcome")
        expect(about).to_contain_text("1 of")
        page.locator("#train").click()
        expect(outcome).to_contain_text("Not trained")

        click_middle(page, 1)
        page.locator("#undo").click()
        expect(about).to_contain_text("Marks: 0,")
        for number in (1, 2):
            click_middle(page, number)
            page.locator("#next").click()
            expect(about).to_contain_text(f"{number + 1} of")
        page.get_by_label("there", exact=True).check()
        click_middle(page, 3)

        page.locator("#train").click()
        expect(outcome).to_contain_text("Trained again")
        expect(outcome).to_contain_text("marks, evidence before, evidence after")
        expect(page.locator("#change-0 img")).to_be_visible()
        page.locator("#next").click()
        expect(about).to_contain_text("4 of")
        click_middle(page, 4)
        page.locator("#save").click()
        expect(outcome).to_contain_text("Marks of later are not in it")
        place = re.search(r"Saved to (.*), marks", outcome.inner_text())
    assert log.problems == []
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    assert place is not None
    saved = Path(place[1])
    rows = [*csv.DictReader((saved / "marks.csv").read_text().splitlines())]
    assert [row["look"] for row in rows] == ["no", "no", "yes"]
    for row in rows:
        assert float(row["x0"]) <= 0.5 <= float(row["x1"])
        assert float(row["y0"]) <= 0.5 <= float(row["y1"])
    old, new = (agnet_vision.load_model(each).head.classifier.linear for each in (run, saved))
    assert not old.weight.equal(new.weight)


def test_value_a_network_without_a_run_says_why(tmp_path: Path) -> None:
    network = agnet_vision.AGNet("test_resnet", 2, variant="backbone_only", classes=("a", "b"))
    network.save_pretrained(tmp_path / "saved")
    phone = open_browser(width=390, height=844, scheme="dark")
    with serve(tmp_path, f"checkpoint={tmp_path / 'saved'}") as address, phone as (page, _):
        page.goto(address)
        page.get_by_role("tab", name="Correct").click()
        expect(page.locator("#no-correction")).to_contain_text("must be of a run")
