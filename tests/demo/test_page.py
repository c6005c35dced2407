"""The demo page in a real browser, as somebody uses it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.demo.scene import paint_scene
from agnet_vision.models.agnet import AGNet
from tests.browser import open_browser

pytest.importorskip("gradio", reason="the demo page needs agnet_vision[demo]")

from agnet_vision.demo.page import PROPOSERS, build_page, launch

CORNER_PIXEL = """selector => {
  const image = document.querySelector(selector), canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [...context.getImageData(1, 1, 1, 1).data.slice(0, 3)];
}"""
CLASSES = ("bee", "red_wasp", "fly")
# Gradio opens sockets and files that are closed only when the interpreter ends.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def bomb(path: Path, side: int = 10_000) -> Path:
    """Write a valid PNG of 100 megapixels in some kilobytes, row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = b"\0" * (side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    picture = paint_scene(np.random.default_rng(1), "bar", image_size=192)
    cv2.imwrite(str(folder / "beetle.jpg"), picture[..., ::-1])
    (folder / "notes.txt").write_text("no photograph")
    (folder / "fake.png").write_text("no photograph either")
    bomb(folder / "bomb.png")
    return folder


@pytest.fixture(scope="module")
def address(files: Path) -> Iterator[str]:
    """Serve the page with two untrained networks."""
    torch.manual_seed(0)
    models = {
        "full": AGNet("test_resnet", 3, num_clusters=4, classes=CLASSES).eval(),
        "without regions": AGNet(
            "test_resnet", 3, num_clusters=4, variant="backbone_only", classes=CLASSES
        ).eval(),
    }
    page = build_page(models, [files / "beetle.jpg"])
    yield launch(page)
    page.close()


def upload(page: Any, path: Path) -> None:
    page.locator("#photograph input[type=file]").set_input_files(str(path))


def wait_for_text(page: Any, selector: str, text: str) -> None:
    """Wait until an element says something."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)", arg=[selector, text],
        timeout=60_000,
    )  # fmt: skip


def test_value_a_photograph_is_classified_and_explained(address: str, files: Path) -> None:
    with open_browser() as (page, log):
        page.goto(address)
        upload(page, files / "beetle.jpg")
        page.locator("#panel-regions img").wait_for(timeout=60_000)
        assert any(
            name.replace("_", " ") in page.locator("#prediction").inner_text() for name in CLASSES
        )
        assert "11 regions of 11 slots" in page.locator("#note").inner_text()
        boxes = page.locator("#panel-regions img").get_attribute("src")
        slider = page.locator("#kappa input[type=number]")
        slider.fill("2")
        slider.press("Enter")
        slider.blur()
        wait_for_text(page, "#note", "4 regions of 11 slots")
        wait_for_text(page, "#note", "trained with κ = 4")
        assert page.locator("#panel-regions img").get_attribute("src") != boxes
        page.wait_for_function("!document.querySelector('#png').disabled", timeout=60_000)
        with page.expect_download() as download:
            page.locator("#png").click()
        assert download.value.suggested_filename == "explanation.png"
        assert cv2.imread(str(download.value.path())).shape[1] > 1000
    assert log.problems == []
    assert {urlsplit(url).netloc for url in log.requests if url.startswith("http")} == {
        urlsplit(address).netloc
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [("bomb.png", "10000 x 10000 is more than"), ("fake.png", "This file cannot be used")],
)
def test_value_files_that_are_no_photographs_are_refused_kindly(
    address: str, files: Path, name: str, words: str
) -> None:
    with open_browser() as (page, _):
        page.goto(address)
        upload(page, files / name)
        wait_for_text(page, "#note", words)
        assert not page.locator("#panel-regions img").is_visible()
        upload(page, files / "beetle.jpg")  # and the page goes on
        page.locator("#panel-regions img").wait_for(timeout=60_000)


def test_value_a_text_file_is_refused_kindly(address: str, files: Path) -> None:
    with open_browser() as (page, _):
        page.goto(address)
        upload(page, files / "notes.txt")
        page.wait_for_function(
            "/cannot be used|invalid file type|only image/i.test(document.body.innerText)",
            timeout=60_000,
        )
        assert not page.locator("#panel-regions img").is_visible()


def test_value_phone_and_dark_mode(address: str, files: Path) -> None:
    with open_browser(width=390, height=844, scheme="dark") as (page, log):
        page.goto(address)
        upload(page, files / "beetle.jpg")
        page.locator("#panel-pairwise img").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        panel = page.locator("#panel-keypoints img")
        assert panel.bounding_box()["width"] > 300
        assert page.evaluate("document.body.classList.contains('dark')")
        assert max(page.evaluate(CORNER_PIXEL, "#panel-pairwise img")) < 60
    assert log.problems == []


def test_value_every_choice_of_regions_works() -> None:
    from agnet_vision.demo.page import _looker

    model = AGNet("test_resnet", 3, num_clusters=2).eval()
    assert set(PROPOSERS) >= {
        "keypoints: sift",
        "keypoints: orb",
        "control: grid",
        "control: random boxes",
    }
    assert _looker({"full": model})(None, "full", "keypoints: sift", 2, "light")[1] is None
    with pytest.raises(ValueError, match="at least one model"):
        build_page({})
