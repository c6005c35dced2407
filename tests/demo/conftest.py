"""The page, served to tests, and what is uploaded."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.demo import paint_image
from agnet_vision.models.agnet import AGNet
from tests.cli.test_train import ENVIRONMENT, command

CLASSES = ("bee", "red_wasp", "fly")


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, and with files that are no images or too large."""
    folder = tmp_path_factory.mktemp("uploads")
    image = paint_image(np.random.default_rng(1), "bar", image_size=192)
    cv2.imwrite(str(folder / "pebbles.jpg"), image[..., ::-1])
    cv2.imwrite(str(folder / "bomb.png"), np.zeros((10_000, 10_000), np.uint8))
    (folder / "fake.png").write_text("no image either")
    return folder


@pytest.fixture(scope="session")
def models() -> dict[str, AGNet]:
    """Two untrained networks, with regions and without."""
    torch.manual_seed(0)
    settings = {"num_clusters": 4, "classes": CLASSES}
    return {
        "full": AGNet("test_resnet", 3, **settings).eval(),
        "without regions": AGNet("test_resnet", 3, variant="backbone_only", **settings).eval(),
    }


@pytest.fixture(scope="session")
def address(models: dict[str, AGNet], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page with the two networks, served by ``agnet demo``."""
    folder = tmp_path_factory.mktemp("server")
    for name, model in models.items():
        model.save_pretrained(folder / name)
    places = ",".join(f"'{folder / name}'" for name in models)
    with serve(folder, f"checkpoint=[{places}]") as found:
        yield found


@contextmanager
def serve(folder: Path, *words: str) -> Iterator[str]:
    """Run ``agnet demo`` in a folder, and give the page's address."""
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(
            command("demo.py", *words, "device=cpu"),
            cwd=folder,
            env={**ENVIRONMENT, "GRADIO_TEMP_DIR": str(folder / "gradio")},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        found = re.search(r"open (\S+) in a browser", process.stdout.readline())
        assert found, (folder / "log.txt").read_text()
        try:
            yield found[1]
        finally:
            process.kill()
