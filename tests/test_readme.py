"""Every command of the README runs as written, plus what makes it small enough for a test."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agnet_vision.cli.main import main
from benchmarks.child import write_images
from tests.cli.test_train import ENVIRONMENT, ROOT
from tests.data import miniatures

README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAIN = (
    "image_size=64 epochs=1 batch_size=8 schedule.warmup_epochs=0 workers=0 trainer=cpu "
    "trainer.progress_bar=false "
    "backbone.pretrained=false report=false regions.num_clusters=2 model.head.pool_size=2"
)
SMALL = """
    backbone={"name": "test_resnet", "pretrained": False},
    regions={"num_clusters": 2},
    image_size=64,
    epochs=1,
    batch_size=8,
    workers=0,
    schedule={"warmup_epochs": 0},
    trainer={"accelerator": "cpu", "progress_bar": False},
    report=False"""
DEMO = "dataset.root=demo_set workers=0 trainer=cpu trainer.progress_bar=false"
SEARCH = " ".join(f"base.{word}" for word in f"{TRAIN} {DEMO}".split())
# Beginning of a command -> what is added to it, and the exit code: the miniature of Food-101
# contradicts its card.
ADDED = {
    "train resume": ("epochs=2 trainer.progress_bar=false", 0),
    "train dataset=stanford40": (f"{TRAIN} dataset.root=stanford40", 0),
    "train dataset=folder": (TRAIN, 0),
    "train": (f"{TRAIN} {DEMO}", 0),
    "evaluate": (f"{DEMO} report=false", 0),
    "correct": ("workers=0 device=cpu report=false", 0),
    "probe": (
        "backbone=test_resnet backbone.pretrained=false regions.num_clusters=2 image_size=64 "
        "epochs=1 batch_size=8 workers=0 device=cpu report=false",
        0,
    ),
    "predict": ("progress=false", 0),
    "export": ("", 0),
    "report": ("", 0),
    "study": ("", 0),
    "search": (
        f"{SEARCH} space.image_size=null space.regions.num_clusters=null trials=1 output=found",
        0,
    ),
    "demo": ("port=0", 1),  # refused when all else is right; tests/demo has the page itself
    "prepare": ("dataset.root=food101", 1),
    "extract": ("dataset.root=food101 workers=1 progress=false", 0),
    "benchmark regions": ("--count 4 --repeats 1", 0),
}


def commands() -> list[str]:
    """Take the commands out of the README's shell blocks, without their comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("agnet ") for line in lines if line.startswith("agnet ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands name, a finished run among it."""
    folder = tmp_path_factory.mktemp("readme")
    write_images(folder / "my_photos", {"train": 6, "val": 2, "test": 2})
    write_images(folder / "demo_set", {"train": 6, "val": 2, "test": 2})
    (folder / "demo_set" / "demo.json").write_text("{}")
    labels = {"cat": "claws|fur", "dog": "fur", "owl": "claws"}
    photos = sorted((folder / "my_photos").rglob("*.png"))
    rows = [
        f"{path.relative_to(folder / 'my_photos')},{labels[path.parent.name]}" for path in photos
    ]
    (folder / "labels.csv").write_text("\n".join(["path,labels", *rows]))
    (folder / "marks.csv").write_text("x0,y0,x1,y1\n0,0,0.2,0.2\n")
    shutil.copy(next((folder / "my_photos").rglob("*.png")), folder / "photo.jpg")
    (folder / "mine" / "experiment").mkdir(parents=True)
    (folder / "mine" / "experiment" / "quick.yaml").write_text("# @package _global_\nepochs: 1\n")
    miniatures.stanford40(folder / "stanford40")
    miniatures.food101(folder / "food101")
    assert run(f"train run_dir=outputs/demo/my_run {TRAIN} {DEMO}", folder) == 0
    for seed in ("0", "1"):
        repeated = shutil.copytree(
            folder / "outputs" / "demo" / "my_run", folder / "outputs" / "seeds" / seed
        )
        config = repeated / "config.yaml"
        config.write_text(
            re.sub(r"^seed: 0$", f"seed: {seed}", config.read_text(), flags=re.MULTILINE)
        )
    return folder


def run(command: str, folder: Path) -> int:
    """Run a command in this process, which has imported its packages; return the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["agnet", *shlex.split(command)])
        try:
            main()
        except SystemExit as stopped:
            print(stopped.code)
            return int(stopped.code is not None and stopped.code != 0)
    return 0


# The miniatures are smaller than their cards say, and Lightning wonders at an empty split.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", commands())
def test_command(command: str, workplace: Path) -> None:
    added, expected = next(value for start, value in ADDED.items() if command.startswith(start))
    assert run(f"{command} {added}", workplace) == expected


def test_python_examples(workplace: Path) -> None:
    """The README's Python runs from its first line to its last."""
    blocks = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    text = "".join(blocks).replace('backbone="resnet18", epochs=3', SMALL)
    assert SMALL in text
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=workplace,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_numbers_are_those_of_the_results() -> None:
    """The table's scores and intervals are those of docs/results.md, to one digit."""
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    arms = ("plain", "full", "full, five epochs")
    rows = re.findall(r"^\| .* \| (\d\d\.\d \| .*?) \|", README, flags=re.MULTILINE)
    for arm, row in zip(arms, rows[:-1], strict=True):
        line = re.search(rf"^\| {arm} \| 3 \| (\S+) .*? (\| .*?) \|", results, re.MULTILINE)
        assert line is not None
        assert numbers(row) == pytest.approx(numbers(line[1] + line[2]), abs=0.051)

    tested = json.loads((ROOT / "docs/benchmarks/views.json").read_text())["test"]["rows"]
    scores = {(*row["views"], row["side"]): row["mAP"] for row in tested}
    larger, before = scores["whole short side", 192], scores["middle crop, 0.875", 160]
    pairs = zip(larger["runs"], before["runs"], strict=True)
    gains = [high - low for high, low in pairs]
    expected = [larger["mean"], sum(gains) / 3, min(gains), max(gains)]
    assert numbers(rows[-1]) == pytest.approx(expected, abs=0.051)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+\.\d+", text)]
