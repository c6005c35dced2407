"""``agnet report`` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.errors import ConfigError
from tests.cli.saved import call
from tests.evaluation.conftest import make_run


def test_value_writes_a_report_beside_a_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(tmp_path, name, seed=seed) for seed, name in enumerate(("first", "second"))]
    call("report", f"run_dir={runs[0]}", f"baseline={runs[1]}")
    assert Path(capsys.readouterr().out.strip()) == runs[0] / "report_against_second.html"
    assert str(runs[1].name) in (runs[0] / "report_against_second.html").read_text(encoding="utf-8")


def test_raises_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run_dir must be given"):
        call("report", "baseline=x")
    with pytest.raises(ConfigError, match=r"no metrics\.json"):
        call("report", f"run_dir={tmp_path}")
