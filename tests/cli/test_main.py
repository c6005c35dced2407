"""``agnet`` itself: its words and flags, and its doors in tools/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from agnet_vision.cli import main as program
from agnet_vision.cli.command import COMMANDS

HEAVY = {
    "albumentations",
    "cv2",
    "lightning_fabric",
    "matplotlib",
    "pytorch_lightning",
    "scipy",
    "sklearn",
    "timm",
    "torch",
}


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["agnet", *words])
    program.main()
    return capsys.readouterr().out


def test_help_lists_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ((), ("--help",)):
        text = said(monkeypatch, capsys, *words)
        assert all(f"\n  {name} " in text for name in COMMANDS)


def test_every_command_has_a_door() -> None:
    doors = [path.read_text() for path in (Path(__file__).parents[2] / "tools").glob("*.py")]
    assert {text.split('run("')[1].split('"')[0] for text in doors} == set(COMMANDS)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--version",), ("train", "--version")):
        assert said(monkeypatch, capsys, *words) == f"agnet_vision {version('agnet_vision')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "there is no command trian; did you mean train?"),
        (["xyzzy"], "there is no command xyzzy; agnet --help lists all"),
        (["--hlep"], "there is no command --hlep; did you mean --help?"),
        (["train", "--hlep"], "there is no flag --hlep; did you mean --help?"),
        (["train", "seed=1", "--multi-run"], "no flag --multi-run; did you mean --multirun?"),
        (
            ["train", "--cfg", "jbo"],
            "--cfg must be one of job, hydra, all, got 'jbo'; did you mean",
        ),
        (["train", "-i=tree"], "-i must be one of all, config, defaults, defaults-tree, plugins,"),
        (["train", "--config-dir"], "--config-dir must be followed by a name, got ''"),
        (["train", "--resolve"], "--resolve is for --cfg; add --cfg job"),
        (["train", "--xyzzy"], "there is no flag --xyzzy; --hydra-help lists all"),
        (["train", "--config-name=evaluate"], "there is no flag --config-name; did you mean"),
        (["predict", "--multirun"], "--multirun is for train and evaluate"),
        (["predict", "backbone=resnet50"], "there is no option backbone"),
        (["predict", "checkpoint=x"], "images must be given: file, folder"),
        (["study", "study=dmeo"], "or a YAML file that is there, got 'dmeo'; did you mean demo?"),
        (
            ["predict", "checkpoint=x", "images=x", "output=a.txt"],
            "output must end in .csv or .jsonl",
        ),
        (["export", "checkpoint=x", "format=int8"], "format=int8 needs images to calibrate on"),
        (["export", "checkpoint=x", "images=x"], "images are for format=int8"),
        (["extract", "regions=grid"], "regions=grid needs no keypoints"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["agnet", *words])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert str(stopped.value.code).startswith("error: ")
    assert message in str(stopped.value.code)
    assert "\n" not in str(stopped.value.code)


def test_what_needs_no_network_imports_none(tmp_path: Path) -> None:
    """Help, version, completion, what Hydra shows, and refusals come at once."""
    script = (
        "import json, sys\n"
        "from contextlib import suppress\n"
        "import agnet_vision\n"
        "from agnet_vision.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['agnet', *words]\n"
        "    with suppress(SystemExit):\n"
        "        main()\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    words = [
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["train", "--cfg", "job"],
        ["-sc", "query=bash"],
        ["trian"],
        ["train", "epoch=1"],
        ["train", "epochs=0"],
        ["train", "experiment=papr"],
        ["train", "resume=true"],
        ["study", "study=dmeo"],
        ["extract", "regions=grid"],
        ["export", "checkpoint=x", "format=int8"],
    ]
    words = [each for each in words if each[0] != "benchmark"]  # its parts have help of their own
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(words)],
        cwd=tmp_path,
        env={**os.environ, "COMP_LINE": "agnet train optimizer.l", "COMP_POINT": "23"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"hydra", "pydantic"} <= loaded
    assert not loaded & HEAVY
    assert not list(tmp_path.iterdir())
