"""What a run says at its start and end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agnet_vision.options.run import TrainConfig
from agnet_vision.training.train import train
from tests.training.tiny import write_pictures


def test_a_run_says_what_it_is_and_where_it_lies(
    configure: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = ("[bold]a", "$b$", ":smile:")
    root = write_pictures(tmp_path / "data", {"all": 6}, classes) / "all"
    words = ("epochs=1", f"dataset.root={root}", "backbone.freeze_at=1", "schedule.warmup_epochs=0")
    train(configure(*words, "model=no_attention", "image_size=48"))
    said = capsys.readouterr().out
    lines = dict(line.split(maxsplit=1) for line in said.splitlines()[:5])
    assert lines["run"] == str(tmp_path / "run")
    assert lines["device"] == "cpu, precision 32-true"
    assert lines["images"] == (
        "folder, 3 classes: 10 train, 4 val, 4 test (drawn from train with seed 0: val 10%, test "
        "20%)"
    )
    assert lines["network"].startswith("test_resnet.r160_in1k, no_attention: ")
    assert lines["network"].endswith(" of them learned")
    assert lines["map"].startswith("2 x 2 cells at 48 pixels, 4 regions pooled to 2 x 2")
    assert all(name in said for name in classes), "names with brackets are printed as they are"
    written = said.split(f"written to {tmp_path / 'run'}\n")[1].splitlines()
    assert [line.split()[0] for line in written] == [
        "views.png",
        "metrics.json",
        "predictions.csv",
        "best.ckpt",
        "last.ckpt",
    ]
