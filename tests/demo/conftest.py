"""The page, served to tests; all that Gradio leaves behind is collected where it was opened."""

from __future__ import annotations

import asyncio
import gc
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.demo.scene import paint_scene
from agnet_vision.models.agnet import AGNet

CLASSES = ("bee", "red_wasp", "fly")


@contextmanager
def gradio_leaks_allowed() -> Iterator[None]:
    """Allow Gradio and its server to drop sockets and files unclosed, and collect them here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        # Gradio uses names that the newest releases of its own dependencies have renamed.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
        gc.collect()


@contextmanager
def served(models: Mapping[str, AGNet], examples: list[Path] | None = None) -> Iterator[str]:
    """Serve the page and give its address."""
    from agnet_vision.demo.page import build_page, launch

    async def start() -> tuple[object, str]:
        """Start inside a running loop: outside Gradio makes loops that nobody closes."""
        page = build_page(models, examples)
        return page, launch(page)

    with gradio_leaks_allowed():
        page, address = asyncio.run(start())
    try:
        yield address
    finally:
        with gradio_leaks_allowed():
            page.close(verbose=False)
            del page


def bomb(path: Path, side: int = 10_000) -> Path:
    """Write a valid PNG of 100 megapixels in some kilobytes, row by row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    packer = zlib.compressobj(9)
    row = b"\0" * (side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, and with files that are none or too large."""
    folder = tmp_path_factory.mktemp("uploads")
    image = paint_scene(np.random.default_rng(1), "bar", image_size=192)
    cv2.imwrite(str(folder / "beetle.jpg"), image[..., ::-1])
    (folder / "notes.txt").write_text("no image")
    (folder / "fake.png").write_text("no image either")
    (folder / "drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    bomb(folder / "bomb.png")
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


@pytest.fixture(scope="module")
def address(models: dict[str, AGNet], uploads: Path) -> Iterator[str]:
    """Serve the page with the two networks."""
    with served(models, [uploads / "beetle.jpg"]) as address:
        yield address
