"""A right map wins against random regions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from sklearn.metrics import auc

from agnet_vision.evaluation.faithfulness import (
    STEPS,
    _curves,
    curves_figure,
    grad_cam,
    measure,
    summarize,
)
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.prepared import Preparation
from tests.conftest import block_image


def test_value_grad_cam_equals_the_grad_cam_package(model: AGNet) -> None:
    (prepared,) = Preparation(model)([block_image()])

    class WithRegions(torch.nn.Module):
        """The package calls a model with images alone."""

        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images, prepared.regions)

    whole = WithRegions()
    with GradCAM(whole, [model.backbone]) as package:
        expected = package(prepared.input[None], [ClassifierOutputTarget(2)])[0]
    heat = grad_cam(model, prepared, 2)

    heat = cv2.resize(heat, expected.shape[::-1])
    np.testing.assert_allclose((heat - heat.min()) / (heat.max() - heat.min()), expected, atol=1e-3)


def test_value_curves_begin_and_end_where_they_must(model: AGNet) -> None:
    (prepared,) = Preparation(model)([block_image()])
    explanation = explain(model, prepared)
    rank = np.random.default_rng(0).permutation(196).reshape(14, 14)
    deletion, insertion = _curves(model, prepared, explanation.target, rank)
    assert deletion[0] == pytest.approx(explanation.probabilities[explanation.target], abs=1e-5)
    assert insertion[-1] == pytest.approx(deletion[0], abs=1e-5)
    assert deletion[-1] == pytest.approx(insertion[0], abs=1e-5)


def test_shape_of_the_measurement(model: AGNet) -> None:
    curves = measure(model, [block_image(0), block_image(1)])
    assert set(curves) == {"evidence", "evidence cells", "attention", "Grad-CAM", "random regions"}
    assert curves["evidence"]["deletion"].shape == (2, STEPS + 1)
    areas = summarize(curves)
    rows = curves["attention"]["insertion"]
    assert areas["attention"]["insertion"].value == pytest.approx(
        np.mean([auc(np.linspace(0, 1, STEPS + 1), row) for row in rows])
    )
    assert len(curves_figure(curves).axes) == 2
