from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from agnet_vision.errors import DatasetNotFoundError
from benchmarks import loader


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    loader.add_arguments(parser)
    return parser.parse_args(options)


def test_smoke(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        image = cv2.resize(rng.integers(0, 255, (15, 20, 3), dtype=np.uint8), (80, 60))
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    options = ["--images", str(tmp_path), "--repeats", "1", "--workers", "1", "--batch-size", "2"]
    report = loader.run(arguments(*options, "--output", str(tmp_path / "out.json")))
    assert report["images"] == 4
    for preset in report["presets"].values():
        assert all(times["median"] > 0 for times in preset["cpu_ms_per_image"].values())
        assert preset["speed_with_over_without"]["median"] > 0
        assert preset["loader"]["speed_with_over_without"]["median"] > 0
    assert (tmp_path / "out.json").is_file()


def test_raises_no_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="name a folder of images"):
        loader.run(arguments("--images", str(tmp_path)))
