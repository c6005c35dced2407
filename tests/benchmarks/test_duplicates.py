from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from agnet_vision.errors import DatasetNotFoundError
from benchmarks import duplicates
from tests.data import miniatures


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    duplicates.add_arguments(parser)
    return parser.parse_args(options)


def test_smoke(tmp_path: Path) -> None:
    for seed in range(6):
        miniatures.write_image(tmp_path / f"{seed}.png", seed)
    report = duplicates.run(arguments("--images", str(tmp_path), "--changed", "3"))
    assert report["pairs"]["the images themselves"] == [0] * 5
    assert report["recall"]["JPEG quality 10"][0] == 1.0


def test_raises_no_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="must hold at least two images"):
        duplicates.run(arguments("--images", str(tmp_path)))
