"""The wheel: what is in it, and that it works with nothing installed but what it declares."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SOURCES = ("agnet_vision", "conf", "datasets", "pyproject.toml", "README.md", "LICENSE")
CORE = """
import numpy as np, torch
from agnet_vision import AGNet, AGNetHead, RegionProposer, __version__, load_model
from agnet_vision.explain import explain
from agnet_vision.predict import Predictor

image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
regions = RegionProposer(num_clusters=2)([image])
head = AGNetHead(32, 3, num_clusters=2).eval()
assert head(torch.rand(1, 32, 8, 8), regions).shape == (1, 3)

AGNet("test_resnet", 3, num_clusters=2, classes=("a", "b", "c")).eval().save_pretrained("saved")
model = load_model("saved")
__import__("cv2").imwrite("image.png", image)
(row,) = Predictor(model)(["image.png"])
assert row.error is None and row.probabilities.shape == (3,)
assert explain(model, image).importance.sum() > 0.99
print(__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a checkout full of untracked files, a dataset among them."""
    checkout = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("data", ".data-*", "__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, checkout / name)
        else:
            ignore = ignored if name == "datasets" else shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, checkout / name, ignore=ignore)
    for stray in (
        "datasets/demo/data/train/cross/0.png",
        "datasets/food101/.data-1/food.tar.gz",
        "datasets/mine/photo.jpg",
        "outputs/demo/best.ckpt",
    ):
        (checkout / stray).parent.mkdir(parents=True)
        (checkout / stray).write_text("not for others")
    done = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], checkout)
    assert done.returncode == 0, done.stderr
    (built,) = (checkout / "dist").glob("*.whl")
    return built


def test_holds_what_is_needed_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "agnet_vision").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    cards = {
        f"agnet_vision/_datasets/{path.parent.name}/{path.name}"
        for name in ("card.yaml", "README.md")
        for path in (ROOT / "datasets").glob(f"*/{name}")
    }
    recipes = {
        f"agnet_vision/_conf/{path.relative_to(ROOT / 'conf').as_posix()}"
        for path in (ROOT / "conf").rglob("*.yaml")
    }
    described = {name for name in names if ".dist-info/" in name}
    assert "agnet_vision/py.typed" in package
    assert names - described == package | cards | recipes


def test_core_alone(wheel: Path, tmp_path: Path) -> None:
    """Networks, regions and prediction need no extra; a command names the one it lacks."""
    python = environment(wheel, tmp_path, extras=())
    done = run([python, "-I", "-c", CORE], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] in wheel.name

    train = run([tmp_path / "venv" / "bin" / "agnet", "train"], tmp_path)
    assert train.returncode == 1
    assert re.fullmatch(
        r"error: \w+ is not installed; pip install 'agnet_vision\[train\]'\n", train.stderr
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_extras(wheel: Path, tmp_path: Path) -> None:
    """Training, prediction and ``load_model``, far from a checkout."""
    python = environment(wheel, tmp_path, extras=("all",))
    agnet = [tmp_path / "venv" / "bin" / "agnet"]
    options = ["epochs=1", "run_dir=run", "trainer=cpu", "workers=0"]
    trained = run([*agnet, "train", *options], tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run" / "report.html").is_file()

    image = next((tmp_path / "cache").rglob("test/*/*.jpg"))
    predicted = run([*agnet, "predict", "checkpoint=run", f"images={image}"], tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert image.parent.name in predicted.stdout

    opened = "import agnet_vision; print(agnet_vision.load_model('run').classes)"
    loaded = run([python, "-I", "-c", opened], tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert image.parent.name in loaded.stdout


def environment(wheel: Path, folder: Path, extras: Iterable[str]) -> str:
    """Make a virtual environment of the wheel and the packages it declares; return its Python.

    The packages are links to those of this environment: hundreds of megabytes are not copied, and
    what is not declared cannot be imported.
    """
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (site_packages,) = (folder / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site_packages)
    (own,) = site_packages.glob("agnet_vision-*.dist-info")
    needed = Distribution.at(own)
    for found in requirements(needed, extras, {}).values():
        for part in {Path(file).parts[0] for file in found.files or ()}:
            source, link = Path(str(found.locate_file(part))), site_packages / part
            if part not in ("..", "__pycache__", "bin") and source.exists() and not link.exists():
                link.symlink_to(source)
    python = folder / "venv" / "bin" / "python"
    for command in needed.entry_points.select(group="console_scripts"):
        program = python.with_name(command.name)
        program.write_text(
            f"#!{python} -I\nfrom {command.module} import {command.attr}\n{command.attr}()\n"
        )
        program.chmod(0o755)
    return str(python)


def requirements(
    package: Distribution, extras: Iterable[str], found: dict[tuple[str, str], Distribution]
) -> dict[tuple[str, str], Distribution]:
    """Find everything that a package requires, and what that requires in turn."""
    for extra in ("", *extras):
        for line in package.requires or ():
            requirement = Requirement(line)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            key = (requirement.name.lower(), ",".join(sorted(requirement.extras)))
            if not wanted or key in found:
                continue
            try:
                found[key] = distribution(requirement.name)
            except PackageNotFoundError:  # an option of a platform that this is not
                continue
            requirements(found[key], requirement.extras, found)
    return found


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command away from this checkout's code."""
    hidden = ("PYTHONPATH", "AGNET_SHARED")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
