"""Commands as somebody types them who knows Hydra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agnet_vision.cli import main as program
from agnet_vision.cli import train as command
from agnet_vision.options.run import TrainConfig
from benchmarks.child import write_images
from tests.training.tiny import TINY

AGNET = (sys.executable, "-c", "from agnet_vision.cli.main import main; main()")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TrainConfig]:
    """What each training was called with; nothing is trained."""
    runs: list[TrainConfig] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "COMMAND", replace(command.COMMAND, call=runs.append))
    return runs


def agnet(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["agnet", *words])
    program.main()


def test_options_and_groups(asked: list[TrainConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    agnet(monkeypatch, "train", "backbone=resnet50", "epochs=3", "experiment=paper", "run_dir=it's")
    (config,) = asked
    assert (config.backbone.name, config.epochs, config.batch_size) == ("resnet50", 3, 8)
    assert config.run_dir == str(Path("it's").absolute())
    assert sys.argv[:2] == ["agnet", "train"]
    assert not list(Path.cwd().iterdir()), "a run that wrote nothing leaves no folder"


def test_a_tree_of_one_s_own(asked: list[TrainConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment, a backbone, and what a dataset changes."""
    for name, text in {
        "experiment/tuned": "# @package _global_\noptimizer: {lr: 0.5}\n",
        "backbone/mine": "defaults: [timm]\nname: resnet18\nfreeze_at: 2\n",
        "recipe/folder": "epochs: 7\nbatch_size: 4\n",
    }.items():
        path = Path("my = conf", f"{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    words = ["dataset=folder", "experiment=tuned", "backbone=mine", "batch_size=5"]
    agnet(monkeypatch, "train", *words, "--config-dir", "my = conf")
    (config,) = asked
    assert (config.optimizer.lr, config.epochs, config.batch_size) == (0.5, 7, 5)
    assert (config.backbone.name, config.backbone.freeze_at) == ("resnet18", 2)


def test_multirun(asked: list[TrainConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--multirun", "seed=0,1", "model=full,backbone_only", "dataset.root=my set"]
    agnet(monkeypatch, "train", *words, "hydra.sweep.dir=swept")
    found = [(each.seed, each.model.variant, Path(each.run_dir).name) for each in asked]
    assert found == [
        (0, "full", "0"),
        (0, "backbone_only", "1"),
        (1, "full", "2"),
        (1, "backbone_only", "3"),
    ]
    assert {Path(each.run_dir).parent for each in asked} == {Path("swept").absolute()}
    assert not any(each.run_dir_is_new for each in asked)
    assert sys.argv[1:] == ["train", "seed=1", "model=backbone_only", "dataset.root='my set'"]

    asked.clear()
    agnet(monkeypatch, "train", "-m", "seed=0,1", "run_dir=seeds/${seed}")
    assert [Path(each.run_dir).relative_to(Path.cwd()) for each in asked] == [
        Path("seeds/0"),
        Path("seeds/1"),
    ]


def test_the_run_s_folder_is_hydra_s(
    asked: list[TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    agnet(monkeypatch, "train", "hydra.run.dir=here")
    agnet(monkeypatch, "train")
    named, new = asked
    assert (named.run_dir, named.run_dir_is_new) == (str(Path("here").absolute()), False)
    assert new.run_dir_is_new
    assert Path(new.run_dir).parent == Path("outputs/demo").absolute()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment=/a/b.yaml"], "experiment must be one of .*, got '/a/b'; --config-dir=FOLDER"),
        (["experiment=papr"], "experiment must be one of paper, recommended, got 'papr'; did you"),
        (["epochs=1,2"], "epochs=1,2 asks for several runs; add --multirun"),
        (["seed=[1"], "seed=\\[1 cannot be read; if it is text, type \"seed='\\[1'\""),
        (["run_dir=a/${sed}"], "run_dir: there is no option sed; did you mean seed?"),
        (["+epoch=1"], "there is no option epoch; did you mean epochs?"),
        (["resume=true", "run_dir=nowhere/run"], "there is no .*config.yaml; run_dir must name"),
        (["resume=true"], "resume=true needs run_dir"),
        (["--config-dir=nowhere"], "nowhere' not found"),
    ],
)
def test_a_refused_run_is_one_line_and_leaves_nothing(
    asked: list[TrainConfig], monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        agnet(monkeypatch, "train", *words)
    assert re.search(f"^error: .*{message}", str(stopped.value.code))
    assert "\n" not in str(stopped.value.code)
    assert not list(Path.cwd().iterdir())
    assert not asked


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--cfg", "job"], r"epochs: 12\n"),
        (["--cfg", "job", "dataset=folder", "backbone=vgg16"], r"name: vgg16\n"),
        (["--info", "defaults-tree"], r"recipe/backbone@backbone: demo_default"),
        (["--hydra-help"], r"--multirun"),
        (["--help"], r"usage: agnet train \[name=value"),
    ],
)
def test_what_hydra_shows(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    shown: str,
) -> None:
    with suppress(SystemExit):  # by which --hydra-help ends
        agnet(monkeypatch, "train", *words)
    assert re.search(shown, capsys.readouterr().out)


def run(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AGNET, *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers(tmp_path: Path, launcher: str) -> None:
    """Each run in a process of its own, as on a cluster."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    root = write_images(tmp_path / "data", {"train": 4, "val": 2, "test": 2})
    words = [*TINY, f"dataset.root={root}", "epochs=1", "hydra.sweep.dir=swept"]
    done = run(
        tmp_path,
        "train",
        "--multirun",
        "model=backbone_only,no_attention",
        f"hydra/launcher={launcher}",
        *words,
    )
    assert done.returncode == 0, done.stderr
    for number in (0, 1):
        assert (tmp_path / "swept" / str(number) / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("agnet tra", {"train"}),
        ("agnet train experiment=", {"experiment=paper", "experiment=recommended"}),
        ("agnet train optimizer.l", {"optimizer.lr=", "optimizer.layer_decay="}),
    ],
)
def test_completion(tmp_path: Path, line: str, expected: set[str]) -> None:
    """What the function that ``agnet -sc install=bash`` prints asks when Tab is pressed."""
    asked: dict[str, Any] = {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = run(tmp_path, "-sc", "query=bash", **asked)
    assert set(done.stdout.split()) == expected, done.stderr
