from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import decode


def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "SIZES", {"small": (96, 64), "large": (2400, 1800)})
    parser = argparse.ArgumentParser()
    decode.add_arguments(parser)
    output = tmp_path / "decode.json"
    decode.run(parser.parse_args(["--images", "2", "--repeats", "1", "--output", str(output)]))
    results = json.loads(output.read_text())["results"]
    assert len(results) == 4 + 5
    for result in results:
        reduced = "draft" in result["decoder"]
        assert result["max_difference"] == ("reduced" if reduced else 0)
        assert result["images_per_s"] > 0
