"""A run's best weights, corrected on its validation images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from agnet_vision import load_model
from agnet_vision.data.image import read_image
from agnet_vision.models.checkpoint import read_checkpoint
from agnet_vision.predict.predictor import Predictor
from agnet_vision.training.train import train
from tests.training.tiny import TINY, training

LINEAR = "model.head.classifier.linear.weight"


def test_value(tmp_path: Path, pictures: Path) -> None:
    """best.ckpt is the last epoch, corrected.

    Whatever opens it applies the correction.
    """
    options = (*TINY, f"dataset.root={pictures}", "epochs=1", "calibration=temperature")
    run = train(training(*options, f"run_dir={tmp_path / 'run'}"))
    assert run.metrics is not None
    temperature = run.metrics["calibration"]["temperature"]
    assert run.metrics["calibration"] == {"temperature": temperature, "tau": 0.0}
    assert 0.05 <= temperature <= 20
    assert temperature != 1

    best, last = (read_checkpoint(run.folder / f"{name}.ckpt") for name in ("best", "last"))
    assert best["agnet"]["model"]["calibration"] == run.metrics["calibration"]
    assert last["agnet"]["model"]["calibration"] == {}
    torch.testing.assert_close(best["state_dict"][LINEAR] * temperature, last["state_dict"][LINEAR])

    model, plain = load_model(run.folder), load_model(run.folder / "last.ckpt")
    assert model.calibration == run.metrics["calibration"]
    image = read_image(next((pictures / "test" / "cat").iterdir()))
    probabilities, expected = (
        Predictor(network).outputs([image]).probabilities for network in (model, plain)
    )
    corrected = expected ** (1 / temperature)
    np.testing.assert_allclose(probabilities, corrected / corrected.sum(), rtol=1e-4)
