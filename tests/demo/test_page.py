"""The demo page in a real browser, in use."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from agnet_vision.explain.figures import PANELS
from tests.browser import open_browser
from tests.demo.conftest import CLASSES

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

pytestmark = pytest.mark.browser


def upload(page: Page, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def test_value_an_image_is_classified_and_explained(address: str, uploads: Path) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        expect(page.locator("#panel-heat img")).to_be_visible()
        named = re.compile("|".join(CLASSES).replace("_", " "))
        expect(page.locator("#prediction")).to_contain_text(named)
        expect(page.locator("#note")).to_contain_text("11 regions of 11 slots, κ = 4")
        page.locator("#panel-heat img").hover()
        with page.expect_download() as download:
            page.locator("#panel-heat").get_by_label("Download").click()
        assert cv2.imread(str(download.value.path())).shape[1] > 500
    assert log.problems == []
    hosts = {urlsplit(url).netloc for url in log.requests if url.startswith("http")}
    assert hosts == {urlsplit(address).netloc}


def test_value_the_figures_have_the_kappa_of_the_slider(address: str, uploads: Path) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        figure = page.locator("#panel-heat img")
        expect(figure).to_be_visible()
        before = figure.get_attribute("src")
        slider = page.locator("#kappa input[type=range]")
        number = page.locator("#kappa input[type=number]")
        slider.press("ArrowLeft")
        expect(number).to_have_value("3")
        slider.press("ArrowLeft")
        note = page.locator("#note")
        expect(note).to_contain_text("4 regions of 11 slots, κ = 2, keypoints: sift. ")
        expect(note).to_contain_text("trained with κ = 4")
        expect(number).to_have_value("2")
        expect(figure).not_to_have_attribute("src", before)
    assert log.problems == []


def test_value_a_file_that_is_too_large_is_refused_kindly(address: str, uploads: Path) -> None:
    with open_browser() as (page, _):
        page.goto(address)
        upload(page, uploads / "bomb.png")
        expect(page.locator("#note")).to_contain_text("10000 x 10000 is more than")
        expect(page.locator("#panel-heat img")).to_be_hidden()
        upload(page, uploads / "pebbles.jpg")  # and the page goes on
        expect(page.locator("#panel-heat img")).to_be_visible()


def test_value_phone_and_dark_mode(address: str, uploads: Path) -> None:
    with open_browser(width=390, height=844, scheme="dark") as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        expect(page.locator("#panel-heat img")).to_be_visible()
        expect(page.locator("#panel-regions")).to_be_hidden()
        page.locator("#more button").first.click()
        figures = page.locator("[id^=panel-] img")
        expect(figures).to_have_count(len(PANELS))
        for figure in figures.all():
            expect(figure).not_to_have_js_property("naturalWidth", 0)  # it has arrived
            assert figure.bounding_box()["width"] > 290
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        expect(page.locator("body.dark")).to_be_visible()
        file = page.request.get(figures.last.get_attribute("src")).body()
        image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        assert image[1, 1].max() < 60
    assert log.problems == []
