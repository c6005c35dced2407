"""``agnet_vision.train`` and ``evaluate``, as a script calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agnet_vision
from agnet_vision.errors import ConfigError

SCRIPT = """
import agnet_vision

run = agnet_vision.train(
    "folder",
    {root!r},
    backbone={{"name": "test_resnet.r160_in1k", "pretrained": False}},
    regions={{"num_clusters": 2}},
    optimizer={{"lr": 1e-3}},
    image_size=48,
    epochs=1,
    batch_size=4,
    workers=1,
    trainer="cpu",
    logger="none",
    report=False,
    **{{"schedule.warmup_epochs": 0, "trainer.progress_bar": False}},
)
again = agnet_vision.evaluate(run.folder, trainer="cpu", workers=0, report=False)
assert again.metrics["acc"] == run.metrics["acc"]
assert again.metrics["num_images"] == run.metrics["num_images"] == 9
assert run.load_model().classes == ("cat", "dog", "owl")
print(run.folder)
"""


def test_a_script_trains_and_evaluates(images: Path, tmp_path: Path) -> None:
    """A script needs no ``if __name__ == "__main__"``.

    It has a loader worker, and a folder for each run.
    """
    (tmp_path / "script.py").write_text(SCRIPT.format(root=str(images)))
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert folder.parent == tmp_path / "outputs" / "folder"
    assert json.loads((folder / "metrics.json").read_text())["root"] == str(images)
    (evaluated,) = (tmp_path / "outputs" / "evaluate").iterdir()
    assert (evaluated / "metrics.json").is_file()


def test_errors_name_options(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no option learning_rate; did you mean optimizer.lr"
    ):
        agnet_vision.train("folder", tmp_path, learning_rate=1)
    with pytest.raises(ConfigError, match="give dataset, or another checkpoint"):
        agnet_vision.evaluate(tmp_path)


def test_importing_the_package_imports_no_training() -> None:
    heavy = ("pytorch_lightning", "pydantic", "hydra", "albumentations")
    code = f"import sys, agnet_vision; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
