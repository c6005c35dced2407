"""tools/train.py and tools/evaluate.py as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agnet_vision.predict.table import read_predictions
from benchmarks.child import write_images
from tests.training.tiny import TINY

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def command(tool: str, *options: str) -> list[str]:
    return [sys.executable, str(ROOT / "tools" / tool), *options]


def run(tool: str, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tool, *options),
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(
        tmp_path_factory.mktemp("data") / "images", {"train": 7, "val": 3, "test": 3}
    )


def test_ctrl_c_saves_and_resume_goes_on(data: Path, tmp_path: Path) -> None:
    options = [*TINY, f"dataset.root={data}", f"run_dir={tmp_path / 'run'}", "epochs=100000"]
    process = subprocess.Popen(
        command("train.py", *options),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    logs = tmp_path / "run"
    deadline = time.monotonic() + 150
    while not (logs / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted; what was saved stays saved; go on with" in stderr
    assert f"resume=true run_dir={logs}" in stderr
    assert "Traceback" not in stderr
    epoch = torch.load(logs / "last.ckpt", weights_only=True)["epoch"]
    first = json.loads((logs / "run.json").read_text())
    done = run("train.py", "resume=true", f"run_dir={logs}", f"epochs={epoch + 1}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = json.loads((logs / "run.json").read_text())
    assert whole["command"] == first["command"]
    assert "epochs=100000" in whole["command"]
    assert whole["wall_time_seconds"] > first["wall_time_seconds"] > 0
    assert "acc" in json.loads((logs / "metrics.json").read_text())


def test_ddp_counts_every_image_once(data: Path, tmp_path: Path) -> None:
    """Two views of each are averaged, without padded copies."""
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    others = ["trainer.progress_bar=false", "report=false", "freeze_backbone_epochs=1", "tta=whole"]
    places = [f"dataset.root={data}", f"run_dir={tmp_path / 'run'}"]
    done = run("train.py", *TINY[:-2], *two, *others, *places, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    alone = ["trainer=cpu", "workers=0", "report=false", f"run_dir={tmp_path / 'alone'}"]
    done = run("evaluate.py", f"checkpoint={tmp_path / 'run' / 'best.ckpt'}", *alone, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    both, one = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "alone")
    )
    assert both["tta"] == one["tta"] == "whole"
    for name in ("acc", "mAP", "mean_per_class_acc", "top5"):
        assert both[name] == pytest.approx(one[name], abs=1e-6)
    shared, own = (
        read_predictions(tmp_path / name / "predictions.csv") for name in ("run", "alone")
    )
    assert len(own.paths) == len(set(own.paths)) == 9
    assert shared.paths == own.paths
    assert shared.probability == pytest.approx(own.probability, abs=1e-6)


def test_pretrained_without_network_fails_at_once(data: Path, tmp_path: Path) -> None:
    done = run(
        "train.py", "dataset=folder", f"dataset.root={data}", "backbone=resnet50", cwd=tmp_path
    )
    assert done.returncode == 1
    assert (
        "HF_HUB_OFFLINE is set; give the weights as a file with backbone.checkpoint" in done.stderr
    )
    assert "backbone.pretrained=false" in done.stderr
    assert "Traceback" not in done.stderr


def test_text_named_jpg_is_one_message(tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", {"train": 2, "val": 1, "test": 1})
    bad = [root / "train" / "cat" / "notes.jpg", root / "val" / "dog" / "cut.png"]
    bad[0].write_text("not an image")
    bad[1].write_bytes((root / "val" / "dog" / "0.png").read_bytes()[:3000])
    places = [f"dataset.root={root}", f"run_dir={tmp_path / 'run'}"]
    done = run("train.py", *TINY, "workers=1", *places, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: cannot read {bad[0]} as an image: it is not an image in a known format "
        "(JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); "
        "and 1 more cannot be read; repair or delete such files; "
        "preparing the dataset lists them all"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "last.ckpt").exists()
