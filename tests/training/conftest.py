"""Fixtures of tiny runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.training.train import train
from agnet_vision.training.trainer import build_trainer
from tests.training.tiny import (
    TINY,
    TINY_EVALUATION,
    Recorder,
    evaluation,
    training,
    write_images,
)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), {"train": 7, "val": 3, "test": 3})


@pytest.fixture
def configure(images: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """Read the options of a tiny run, whose folder is the test's own unless given."""
    places = (f"dataset.root={images}", f"run_dir={tmp_path / 'run'}")
    return lambda *words: training(*TINY, *places, *words)


@pytest.fixture
def configure_evaluation(images: Path, tmp_path: Path) -> Callable[..., EvaluateConfig]:
    """Read the options of an evaluation of a tiny run."""
    places = (f"dataset.root={images}", f"run_dir={tmp_path / 'run'}")
    return lambda *words: evaluation(*TINY_EVALUATION, *places, *words)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no curves, which take as long as training here; runs of a wider scope draw theirs."""
    for name in ("learning_curves", "save_png"):
        monkeypatch.setattr(f"agnet_vision.training.train.{name}", lambda *_, **__: None)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Watch the next run ahead of its own callbacks, so that averaged weights are seen in use."""
    recorder = Recorder()
    monkeypatch.setattr(
        "agnet_vision.training.train.build_trainer",
        lambda options, run_dir, callbacks, *others, **named: build_trainer(
            options, run_dir, [recorder, *callbacks], *others, **named
        ),
    )
    return recorder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """One finished run, for tests that only look at it."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    run = train(training(*TINY, f"dataset.root={images}", f"run_dir={run_dir}"))
    assert run.folder == run_dir
    return run_dir


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A run of one epoch, for tests that continue copies."""
    run_dir = tmp_path_factory.mktemp("ended") / "run"
    places = (f"dataset.root={images}", f"run_dir={run_dir}")
    train(training(*TINY, *places, "epochs=1", "test=false"))
    return run_dir


@pytest.fixture
def copy(ended: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ended, tmp_path / "copy"))
