"""``agnet prepare`` as it is typed: report, exit status, refusals."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data import miniatures

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """Run the tool here.

    It returns the exit status or the error.
    """

    def run(*arguments: str) -> int | str | None:
        monkeypatch.syspath_prepend(PROJECT / "tools")
        monkeypatch.setattr(sys, "argv", ["tools/prepare_dataset.py", "workers=1", *arguments])
        try:
            runpy.run_path(str(PROJECT / "tools" / "prepare_dataset.py"), run_name="__main__")
        except SystemExit as end:
            return end.code
        return 0

    return run


def test_tool(
    tmp_path: Path, run: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    miniatures.folder(tmp_path / "data")
    arguments = (
        "dataset=folder",
        f"dataset.root={tmp_path / 'data'}",
        f"report={tmp_path / 'report.json'}",
    )
    assert run(*arguments) == 0
    assert json.loads((tmp_path / "report.json").read_text())["problems"] == []
    assert "it can be used as it is" in capsys.readouterr().out
    (tmp_path / "data" / "train" / "ant" / "x.jpg").write_text("not an image")
    shutil.copy(tmp_path / "data" / "train" / "ant" / "001.png", tmp_path / "data" / "test" / "ant")
    assert run(*arguments) == 1
    kinds = [
        problem["kind"]
        for problem in json.loads((tmp_path / "report.json").read_text())["problems"]
    ]
    assert kinds == ["undecodable", "duplicate"]
    assert (tmp_path / "report.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dataset=stanford40", "dataset.root=/nowhere", "download=false"), "/nowhere"),
        (("dataset=aucd_v1", "dataset.root=/nowhere"), "agreement"),
        (
            ("dataset=caltech256", "dataset.root=.", "dataset.split_seed=9", "download=false"),
            "dataset.split_seed must be a whole number in [0, 4], got 9",
        ),
    ],
)
def test_tool_raises(run: Callable[..., object], arguments: tuple[str, ...], message: str) -> None:
    assert message in str(run(*arguments))
