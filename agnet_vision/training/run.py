"""``agnet_vision.train``, ``evaluate``, ``correct`` and ``probe``: runs from Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agnet_vision.errors import extra_needed
from agnet_vision.training import Run

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback

    from agnet_vision.options.probe import ProbeConfig
    from agnet_vision.options.run import CorrectConfig, EvaluateConfig, TrainConfig


def train(
    dataset: str | dict[str, Any] | None = None, root: str | Path | None = None, **options: Any
) -> Run:
    """Train a network, test it and write its run folder.

    All options are in docs/options.md. A name with a dot needs a mapping::

        train("folder", "my_photos", backbone="resnet18", epochs=3, optimizer={"lr": 1e-3})
        train("folder", "my_photos", **{"optimizer.lr": 1e-3})

    Args:
        dataset: name of the dataset, or its options with ``name``; the demo set by default.
        root: where it lies, short for ``dataset.root``.
        **options: as of ``agnet train``. ``backbone``, ``model``, ``regions``, ``trainer`` and
            ``logger`` may be a name, or a mapping of options; ``experiment`` names a file of
            ``conf/experiment``; with ``resume=True`` the run in ``run_dir`` goes on.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
        KeyboardInterrupt: after Ctrl-C; ``last.ckpt`` is saved.
    """
    return train_with(_given(dataset, root, options))


def evaluate(
    checkpoint: str | Path,
    dataset: str | dict[str, Any] | None = None,
    root: str | Path | None = None,
    **options: Any,
) -> Run:
    """Test a network, and write scores, predictions and a report.

    Args:
        checkpoint: a run folder, a ``.ckpt``, a folder of ``save_pretrained``, or ``owner/name`` on
            the Hub.
        dataset: its name, or its options with ``name``; by default that of the run, with the run's
            split.
        root: where it lies, short for ``dataset.root``.
        **options: as of ``agnet evaluate``, ``split`` and ``run_dir`` among them.

    Raises:
        AGNetError: an option, the dataset, or the checkpoint is not right.
    """
    return evaluate_with({"checkpoint": checkpoint, **_given(dataset, root, options)})


def correct(checkpoint: str | Path, marks: str | Path, **options: Any) -> Run:
    """Train the last layer of a run's network again, so that its evidence follows marks.

    Args:
        checkpoint: folder of the run, which stays as it is.
        marks: CSV ``path,x0,y0,x1,y1,look``, a COCO ``.json``, or a folder of masks.
        **options: as of ``agnet correct``, ``weight`` and ``run_dir`` among them.

    Raises:
        AGNetError: an option, the marks, the dataset or the checkpoint is not right.
    """
    with extra_needed("train"):
        from agnet_vision.options.resolve import correction_options

        given = {"checkpoint": checkpoint, "marks": marks, **options}
        return run_correction(correction_options(given))


def probe(
    dataset: str | dict[str, Any] | None = None, root: str | Path | None = None, **options: Any
) -> Run:
    """Compare heads on the stored maps of a backbone that stays as it is, and test the best.

    Args:
        dataset: name of the dataset, or its options with ``name``; the demo set by default.
        root: where it lies, short for ``dataset.root``.
        **options: as of ``agnet probe``, ``backbone`` and ``image_size`` among them.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
    """
    with extra_needed("train"):
        from agnet_vision.options.resolve import probe_options

        return run_probe(probe_options(_given(dataset, root, options)))


def train_with(given: Mapping[str, Any], callbacks: Sequence[Callback] = ()) -> Run:
    """Do what ``train`` does, all options in one mapping."""
    with extra_needed("train"):
        from agnet_vision.options.resolve import training_options

        return run_training(training_options(given), callbacks)


def evaluate_with(given: Mapping[str, Any]) -> Run:
    """Do what ``evaluate`` does, all options in one mapping."""
    with extra_needed("train"):
        from agnet_vision.options.resolve import evaluation_options

        return run_evaluation(evaluation_options(given))


def run_training(config: TrainConfig, callbacks: Sequence[Callback] = ()) -> Run:
    """Train with checked options."""
    from agnet_vision.training.train import train as train_run

    with _script_run_once():
        return train_run(config, callbacks)


def run_evaluation(config: EvaluateConfig) -> Run:
    """Evaluate with checked options."""
    from agnet_vision.training.evaluate import evaluate as evaluate_run

    with _script_run_once():
        return evaluate_run(config)


def run_correction(config: CorrectConfig) -> Run:
    """Correct with checked options."""
    from agnet_vision.training.correct import correct as correct_run

    with _script_run_once():
        return correct_run(config)


def run_probe(config: ProbeConfig) -> Run:
    """Probe with checked options."""
    from agnet_vision.training.probe import probe as probe_run

    with _script_run_once():
        return probe_run(config)


def _given(
    dataset: str | dict[str, Any] | None, root: str | Path | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Put the named arguments among the options."""
    named = {"dataset": dataset, "dataset.root": root}
    return {name: value for name, value in named.items() if value is not None} | options


@contextmanager
def _script_run_once() -> Iterator[None]:
    """Keep loader workers from re-importing the caller's script.

    Python's start methods without fork run it in every worker, for what it may define; here options
    are plain values and nothing of it is needed.
    """
    script = sys.modules["__main__"]
    path = script.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        if path is not None:
            script.__dict__["__file__"] = path
