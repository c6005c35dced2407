"""The page, served to tests, and what is uploaded."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.demo import paint_image
from agnet_vision.models.agnet import AGNet

CLASSES = ("bee", "red_wasp", "fly")


def bomb(path: Path, side: int = 10_000) -> Path:
    """Write a PNG of 100 megapixels in some kilobytes."""

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
    """A folder with an image, and with files that are no images or too large."""
    folder = tmp_path_factory.mktemp("uploads")
    image = paint_image(np.random.default_rng(1), "bar", image_size=192)
    cv2.imwrite(str(folder / "pebbles.jpg"), image[..., ::-1])
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


@contextmanager
def serve(
    networks: Path, example: Path, folder: Path
) -> Iterator[tuple[str, Callable[[int], None]]]:
    """Serve the page from a process that ends with the context.

    Yields:
        Address of the page, and a function that moves the clock of its files ahead, by minutes.
    """
    log = folder / "log.txt"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.demo.server", str(networks), str(example)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "GRADIO_TEMP_DIR": str(folder / "gradio")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        address = process.stdout.readline().strip()
        assert address, log.read_text()

        def pass_time(minutes: int) -> None:
            print(minutes, file=process.stdin, flush=True)

        yield address, pass_time
        process.kill()


@pytest.fixture(scope="session")
def networks(models: dict[str, AGNet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two networks."""
    folder = tmp_path_factory.mktemp("networks")
    for name, model in models.items():
        model.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="session")
def address(
    networks: Path, uploads: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the page with the two networks."""
    with serve(networks, uploads / "pebbles.jpg", tmp_path_factory.mktemp("server")) as (
        address,
        _,
    ):
        yield address
