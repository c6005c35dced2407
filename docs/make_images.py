"""Make the images of the demo set, the page and the report anew.

``python docs/make_images.py outputs/demo/my_run``; needs Playwright and Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cv2
import numpy as np
from matplotlib.figure import Figure
from playwright.sync_api import expect

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agnet_vision.data.demo import MARKS, paint_image  # noqa: E402 (the path comes first)
from agnet_vision.data.image import read_image  # noqa: E402
from agnet_vision.demo.page import build_page, launch  # noqa: E402
from agnet_vision.evaluation.report import write_report  # noqa: E402
from agnet_vision.explain.explanation import explain  # noqa: E402
from agnet_vision.explain.figures import explanation_figure, save_figure  # noqa: E402
from agnet_vision.models.agnet import load_model  # noqa: E402
from tests.browser import open_browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"
Scheme = Literal["light", "dark"]


def main(run_dir: str) -> None:
    """Draw demo set, explanation, page and report of a demo run."""
    draw_demo_set()
    model = load_model(run_dir)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pebbles.png"
        image = paint_image(np.random.default_rng(11), "cross", image_size=256)
        cv2.imwrite(str(path), image[..., ::-1])

        explanation = explain(model, read_image(path))
        for name, theme in (("explain_demo", "light"), ("explain_demo_dark", "dark")):
            save_figure(explanation_figure(explanation, theme=theme), IMAGES / f"{name}.png")

        page = build_page({model.variant: model}, [path])
        address = launch(page)
        shoot_page(address, path, "demo_page_light.png", 1280, "light")
        shoot_page(address, path, "demo_page_dark.png", 1280, "dark")
        shoot_page(address, path, "demo_page_phone.png", 390, "dark")
        page.close()

    report = write_report(run_dir).resolve()
    for scheme in ("light", "dark"):
        with open_browser(width=1000, height=1500, scheme=scheme) as (page, _):
            page.goto(report.as_uri())
            page.screenshot(path=IMAGES / f"report_{scheme}.png")


def draw_demo_set(columns: int = 8) -> None:
    """Draw a row of images per class of the demo set."""
    figure = Figure((columns + 0.8, len(MARKS)), layout="constrained")
    rows = figure.subplots(len(MARKS), columns, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for row, (mark, axes) in enumerate(zip(MARKS, rows, strict=True)):
        for column, axis in enumerate(axes):
            rng = np.random.default_rng((5, row, column))
            axis.imshow(paint_image(rng, mark, image_size=128))
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[0].set_ylabel(mark, rotation=0, ha="right", va="center")
    figure.savefig(IMAGES / "demo_set.png", dpi=80)


def shoot_page(address: str, image: Path, name: str, width: int, scheme: Scheme) -> None:
    """Upload an image, and take a screenshot of the finished page."""
    with open_browser(width=width, scheme=scheme) as (page, _):
        page.goto(address)
        page.locator("#upload input[type=file]").set_input_files(str(image))
        figure = page.locator("#panel-heat img")
        expect(figure).to_be_visible()
        expect(figure).not_to_have_js_property("naturalWidth", 0)  # it has arrived
        page.screenshot(path=IMAGES / name, full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
