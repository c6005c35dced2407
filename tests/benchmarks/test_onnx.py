"""The benchmark of exported files refuses a file that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.errors import ConfigError
from benchmarks.onnx import open_session


def test_raises_on_a_missing_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match="no file"):
        open_session(tmp_path / "none.onnx", threads=1)
