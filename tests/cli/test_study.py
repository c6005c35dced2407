"""``agnet study`` as typed: what it compares and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agnet_vision.cli import study as command
from agnet_vision.errors import ConfigError
from agnet_vision.studies import study
from agnet_vision.studies import table as study_table
from tests.cli.saved import call


@pytest.mark.parametrize("words", [(), ("study=a.yaml", "runs=b/*")])
def test_raises_on_both_or_neither(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="study must name a file, or runs must name folders"):
        call("study", *words)


def test_raises_on_patterns_without_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(ConfigError, match="there is no run to compare"):
        call("study", f"runs='{tmp_path}/*'")


def test_value_runs_of_several_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/two", "a/one", "b/three", "b/notes"):
        (tmp_path / name).mkdir(parents=True)
        if not name.endswith("notes"):
            (tmp_path / name / "config.yaml").write_text("seed: 0\n")
    asked: list[Any] = []

    def summarize(*given: Any) -> list[Any]:
        asked.append(given)
        return []

    monkeypatch.setattr(study_table, "summarize_runs", summarize)
    monkeypatch.chdir(tmp_path)
    call("study", "runs=[a/*,b/*]", "baseline=seed=0", "output=found")
    folders = [Path("a/one"), Path("a/two"), Path("b/three")]
    assert asked == [(folders, tmp_path / "found", "seed=0")]
    assert f"written to {tmp_path / 'found'}" in capsys.readouterr().out


def test_value_options_of_the_base_reach_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("base: {epochs: 1}\narms: {a: {}}\nbaseline: a\n")
    run: list[Any] = []
    monkeypatch.setattr(study, "run_study", lambda *given, **how: run.append((given, how)))
    monkeypatch.setattr(study_table, "summarize_study", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    call("study", f"study={file}", "base.epochs=3", "jobs=2")
    (((found, output), how),) = run
    assert (found.base, output) == ({"epochs": 3}, Path("outputs/studies/mine"))
    assert how == {"jobs": 2, "threads": None, "cluster": None}
    call("study", f"study={file}", "summary=true")
    assert len(run) == 1
    assert command.COMMAND.call is command.call
