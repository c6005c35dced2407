from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import loader
from benchmarks.child import write_images


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    loader.add_arguments(parser)
    return parser.parse_args(options)


def test_smoke(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 4}, classes=("cat",))
    options = ["--images", str(tmp_path), "--repeats", "1", "--workers", "1", "--batch-size", "2"]
    report = loader.run(arguments(*options, "--output", str(tmp_path / "out.json")))
    assert report["images"] == 4
    for preset in report["presets"].values():
        assert all(times["median"] > 0 for times in preset["cpu_ms_per_image"].values())
        assert preset["speed_with_over_without"]["median"] > 0
        assert preset["loader"]["speed_with_over_without"]["median"] > 0
    assert (tmp_path / "out.json").is_file()
