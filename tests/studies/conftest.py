"""Fixtures of studies by stand-ins."""

from __future__ import annotations

import pytest

from agnet_vision.studies import study as machine
from agnet_vision.studies import table as study_table
from agnet_vision.studies.study import Study
from tests.studies.stand_ins import Trainer
from tests.training.conftest import configure, images, no_curves

__all__ = ["configure", "images", "no_curves"]  # fixtures of tiny runs


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    stand_in = Trainer()
    monkeypatch.setattr(machine, "train_with", stand_in)
    monkeypatch.setattr(study_table, "forward_ms", lambda _: {"plain": 1.0, "slow": 2.0})
    return stand_in


@pytest.fixture
def study() -> Study:
    return Study(
        "Which?",
        {"epochs": 4},
        {"plain": {"model": "backbone_only"}, "slow": {"model": "full"}},
        (0, 1),
    )
