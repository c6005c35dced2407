"""What a run prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from agnet_vision.training.train import train
from benchmarks.child import write_images
from tests.training.tiny import Configure


def test_a_run_says_what_it_is_and_where_it_lies(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_images(tmp_path / "data", {"all": 6}) / "all"
    words = ("epochs=1", f"dataset.root={root}", "backbone.freeze_at=1", "schedule.warmup_epochs=0")
    train(configure(*words, "model=no_attention", "image_size=48"))
    said = capsys.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in said.splitlines()[:4])
    assert lines["run"] == str(tmp_path / "run")
    assert lines["device"] == "cpu, precision 32-true"
    assert lines["images"] == (
        "folder, 3 classes: 10 train, 3 val, 5 test (drawn from train with seed 0: val 10%, test "
        "20%)"
    )
    assert lines["network"].startswith("test_resnet.r160_in1k, no_attention: ")
    assert "learned; 1.0 times the backbone's work" in lines["network"]
    assert said.endswith(f"written to {tmp_path / 'run'}\n")


def test_progress_bar_of_a_run(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr(
        "pytorch_lightning.callbacks.progress.rich_progress.get_console", lambda: console
    )
    monkeypatch.setattr("agnet_vision.training.console.Console", lambda **_: console)
    train(configure("model=backbone_only", "test=false", "trainer.progress_bar=true"))
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", screen.getvalue())  # the cursor's movements
    last = [line for line in drawn.splitlines() if line.startswith("Epoch 2/2")][-1]
    assert " 5/5 " in last
    assert re.search(r"val/acc: [01]\.\d{3} val/mAP: [01]\.\d{3}", last)
    assert "v_num" not in last
    assert re.search(r"train/loss: \d+\.\d{3} ", last)


def test_a_line_an_epoch_where_nobody_looks(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configure("model=backbone_only", "test=false", "trainer.progress_bar=true"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    number = r"\d+\.\d{3}"
    scores = rf"loss {number}  val loss {number}  acc {number}  mAP {number}"
    assert len(lines) == 2
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(rf"epoch {epoch}/2  {scores}  \d+ s  0:00:\d\d left", line), line
    assert lines[-1].endswith("0:00:00 left")
