"""The record of what a run ran on."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from agnet_vision.evaluation.environment import environment, this_command


def test_value_versions_are_those_imported() -> None:
    found = json.loads(json.dumps(environment()))
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["versions"]["numpy"] == np.__version__
    assert found["device"].startswith("cpu, ")
    assert found["threads"] == torch.get_num_threads()


def test_value_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tools/train.py", "dataset.root=my photos"])
    assert this_command() == "python tools/train.py 'dataset.root=my photos'"
