"""The demo page in a real browser, in use."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import pytest

from tests.browser import open_browser
from tests.demo.conftest import CLASSES, serve

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

CORNER_PIXEL = """selector => {
  const image = document.querySelector(selector), canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [...context.getImageData(1, 1, 1, 1).data.slice(0, 3)];
}"""
pytestmark = pytest.mark.browser


def upload(page: Any, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(str(path))


def wait_for_text(page: Any, selector: str, text: str) -> None:
    """Wait until an element says something."""
    says = "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)"
    page.wait_for_function(says, arg=[selector, text], timeout=60_000)


def test_value_an_image_is_classified_and_explained(address: str, uploads: Path) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        page.locator("#panel-regions img").wait_for(timeout=60_000)
        named = page.locator("#prediction").inner_text()
        assert any(name.replace("_", " ") in named for name in CLASSES)
        assert "11 regions of 11 slots, κ = 4" in page.locator("#note").inner_text()
        page.wait_for_function("!document.querySelector('#png').disabled", timeout=60_000)
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
        page.locator("#panel-regions img").wait_for(timeout=60_000)
        before = page.locator("#panel-regions img").get_attribute("src")
        if way == "number":
            page.locator("#kappa input[type=number]").fill("2")
        else:
            slider = page.locator("#kappa input[type=range]")
            slider.focus()
            slider.press("ArrowLeft")
            slider.press("ArrowLeft")
        wait_for_text(page, "#note", "κ = 2, keypoints: sift. ")
        wait_for_text(page, "#note", "trained with κ = 4")
        assert "4 regions of 11 slots" in page.locator("#note").inner_text()
        assert page.locator("#kappa input[type=number]").input_value() == "2"
        assert page.locator("#panel-regions img").get_attribute("src") != before
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
        wait_for_text(page, "#note", words)
        assert not page.locator("#panel-regions img").is_visible()
        upload(page, uploads / "pebbles.jpg")  # and the page goes on
        page.locator("#panel-regions img").wait_for(timeout=60_000)


def test_value_phone_and_dark_mode(address: str, uploads: Path) -> None:
    with open_browser(width=390, height=844, scheme="dark") as (page, log):
        page.goto(address)
        upload(page, uploads / "pebbles.jpg")
        page.locator("#panel-pairwise img").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        panel = page.locator("#panel-keypoints img")
        assert panel.bounding_box()["width"] > 300
        assert page.evaluate("document.body.classList.contains('dark')")
        assert max(page.evaluate(CORNER_PIXEL, "#panel-pairwise img")) < 60
    assert log.problems == []


def test_value_what_visitors_leave_is_deleted(
    networks: Path, uploads: Path, tmp_path: Path
) -> None:
    image = uploads / "pebbles.jpg"
    with serve(networks, image, tmp_path, "8") as address, open_browser() as (page, _):

        def files() -> set[Path]:
            return {path for path in (tmp_path / "gradio").rglob("*") if path.is_file()}

        examples = files()
        page.goto(address)
        upload(page, shutil.copy(image, tmp_path / "wasp.jpg"))
        page.locator("#panel-keypoints img").wait_for(timeout=60_000)
        left = files() - examples
        page.wait_for_function("!document.querySelector('#png').disabled", timeout=60_000)
        left |= files() - examples
        assert {path.suffix for path in left} >= {".jpg", ".png", ".svg"}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(path.exists() for path in left):
            time.sleep(0.5)
        assert [path.name for path in left if path.exists()] == []
