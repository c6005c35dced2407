"""Make the images of explain.md anew: ``python docs/make_images.py outputs/demo/my_run``.

Needs Playwright and Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agnet_vision.data.demo import paint_image  # noqa: E402 (the path comes first)
from agnet_vision.data.image import read_image  # noqa: E402
from agnet_vision.demo.page import build_page, launch  # noqa: E402
from agnet_vision.evaluation.report import write_report  # noqa: E402
from agnet_vision.explain.explanation import explain  # noqa: E402
from agnet_vision.explain.figures import explanation_figure, save_figure  # noqa: E402
from agnet_vision.models.agnet import load_model  # noqa: E402
from tests.browser import open_browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"


def main(run_dir: str) -> None:
    """Draw explanation, page and report of a demo run."""
    model = load_model(run_dir)
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "pebbles.png"
        cv2.imwrite(
            str(picture), paint_image(np.random.default_rng(11), "cross", image_size=256)[..., ::-1]
        )
        told = explain(model, read_image(picture))
        for theme in ("light", "dark"):
            name = "explain_demo.png" if theme == "light" else "explain_demo_dark.png"
            save_figure(explanation_figure(told, theme=theme), IMAGES / name)
        page = build_page({model.head.variant: model}, [picture])
        address = launch(page)
        for name, width, scheme in (
            ("light", 1280, "light"),
            ("dark", 1280, "dark"),
            ("phone", 390, "dark"),
        ):
            shoot_page(address, picture, IMAGES / f"demo_page_{name}.png", width, scheme)
        page.close()
    report = write_report(run_dir).resolve()
    for scheme in ("light", "dark"):
        with open_browser(width=1000, height=1500, scheme=scheme) as (page, _):
            page.goto(report.as_uri())
            page.screenshot(path=IMAGES / f"report_{scheme}.png")


def shoot_page(address: str, picture: Path, path: Path, width: int, scheme: str) -> None:
    """Upload an image and photograph the finished page."""
    with open_browser(width=width, scheme=scheme) as (page, _):
        page.goto(address)
        page.locator("#photograph input[type=file]").set_input_files(str(picture))
        page.wait_for_function(
            "document.querySelector('#png')?.disabled === false", timeout=120_000
        )
        page.wait_for_timeout(500)
        page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
