"""The demo page in a real browser, in use."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from agnet_vision.explain.figures import PANELS
from tests.browser import open_browser
from tests.demo.conftest import CLASSES, serve

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

pytestmark = pytest.mark.browser


def upload(page: Page, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def test_value_an_image_is_classified_and_explained(address: str, uploads: Path) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        expect(page.locator("#panel-regions img")).to_be_visible()
        named = re.compile("|".join(CLASSES).replace("_", " "))
        expect(page.locator("#prediction")).to_contain_text(named)
        expect(page.locator("#note")).to_contain_text("11 regions of 11 slots, κ = 4")
        expect(page.locator("#png")).to_be_enabled()
        with page.expect_download() as download:
            page.locator("#png").click()
        assert download.value.suggested_filename == "explanation.png"
        assert cv2.imread(str(download.value.path())).shape[1] > 1000
    assert log.problems == []
    hosts = {urlsplit(url).netloc for url in log.requests if url.startswith("http")}
    assert hosts == {urlsplit(address).netloc}


@pytest.mark.parametrize("way", ["number", "keyboard"])
def test_value_the_figures_have_the_kappa_of_the_slider(
    address: str, uploads: Path, way: str
) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        figure, number = (
            page.locator("#panel-regions img"),
            page.locator("#kappa input[type=number]"),
        )
        expect(figure).to_be_visible()
        before = figure.get_attribute("src")
        if way == "number":
            number.fill("2")
        else:
            slider = page.locator("#kappa input[type=range]")
            slider.press("ArrowLeft")
            expect(number).to_have_value("3")
            slider.press("ArrowLeft")
        note = page.locator("#note")
        expect(note).to_contain_text("4 regions of 11 slots, κ = 2, keypoints: sift. ")
        expect(note).to_contain_text("trained with κ = 4")
        expect(number).to_have_value("2")
        expect(figure).not_to_have_attribute("src", before)
    assert log.problems == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bomb.png", "10000 x 10000 is more than"),
        ("fake.png", "This file cannot be used"),
        ("drawing.png", "This file cannot be used"),
    ],
)
def test_value_files_that_are_no_images_are_refused_kindly(
    address: str, uploads: Path, name: str, words: str
) -> None:
    with open_browser() as (page, _):
        page.goto(address)
        upload(page, uploads / name)
        expect(page.locator("#note")).to_contain_text(words)
        expect(page.locator("#panel-regions img")).to_be_hidden()
        upload(page, uploads / "pebbles.jpg")  # and the page goes on
        expect(page.locator("#panel-regions img")).to_be_visible()


def test_value_phone_and_dark_mode(address: str, uploads: Path) -> None:
    with open_browser(width=390, height=844, scheme="dark") as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        figures = page.locator("#panels img")
        expect(figures).to_have_count(len(PANELS))
        for figure in figures.all():
            expect(figure).not_to_have_js_property("naturalWidth", 0)  # it has arrived
            assert figure.bounding_box()["width"] > 300
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        expect(page.locator("body.dark")).to_be_visible()
        file = page.request.get(figures.last.get_attribute("src")).body()
        image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        assert image[1, 1].max() < 60
    assert log.problems == []


def test_value_what_visitors_leave_is_deleted(
    networks: Path, uploads: Path, tmp_path: Path
) -> None:
    image = uploads / "pebbles.jpg"

    def files() -> set[Path]:
        return {path for path in (tmp_path / "gradio").rglob("*") if path.is_file()}

    with serve(networks, image, tmp_path) as (address, pass_time), open_browser() as (page, _):
        examples = files()
        page.goto(address)
        upload(page, shutil.copy(image, tmp_path / "wasp.jpg"))
        expect(page.locator("#svg")).to_be_enabled()
        left = files() - examples
        assert {path.suffix for path in left} >= {".jpg", ".png", ".svg"}
        pass_time(31)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and files() & left:
            time.sleep(0.2)
        assert files() & left == set()
